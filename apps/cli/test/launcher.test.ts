import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** Tools of every Debian that the launcher may use, found on this machine wherever they are. */
const essentials = [
  'sh',
  'id',
  'readlink',
  'cmp',
  'cat',
  'cp',
  'uname',
  'mkdir',
  'chmod',
  'flock',
  'nsenter',
  'mount',
];
const packaged = [
  'curl',
  'clang',
  'llvm-strip',
  'bpftool',
  'haproxy',
  'nginx',
  'wrk',
  'python3',
  'chromium',
  'tcpdump',
  'linux.uml',
  'modprobe',
  'node',
  'npm',
];
const sbin = ['ip', 'tc', 'bridge'];

let machine: string;

function path(...parts: string[]): string {
  return join(machine, ...parts);
}

function put(file: string, text: string): void {
  mkdirSync(dirname(path(file)), { recursive: true });
  rmSync(path(file), { force: true });
  writeFileSync(path(file), text);
  chmodSync(path(file), 0o755);
}

function stub(name: string, script: string): void {
  put(`bin/${name}`, `#!/bin/sh\n${script}\n`);
}

const fakeNode = '#!/bin/sh\necho "node $*"\npwd\n';

/** A copy of the launcher in a checkout of its own, on a machine that has only what we put into `bin`. */
function layOut(): void {
  machine = mkdtempSync(join(tmpdir(), 'resplice-launcher-'));
  mkdirSync(path('bin'));
  for (const name of essentials) {
    const real = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
    // Never a link: whoever overwrites one here would overwrite the machine's own tool.
    stub(name, `exec ${real} "$@"`);
  }
  for (const name of [...packaged, ...sbin]) stub(name, 'exit 0');
  stub('apt-get', `echo "apt-get $*" >> ${path('calls')}`);
  stub('npm', `echo "npm $*" >> ${path('calls')}`);
  cpSync(join(repository, 'resplice'), path('checkout/resplice'), { recursive: true });
  put('checkout/package-lock.json', '{"lock":1}\n');
  put('checkout/apps/cli/help.txt', 'the help\n');
  installed();
}

function installed(): void {
  put('checkout/node_modules/.bin/node', fakeNode);
  put('checkout/node_modules/.resplice-lock', '{"lock":1}\n');
}

function uninstalled(): void {
  rmSync(path('checkout/node_modules'), { recursive: true });
  stub(
    'npm',
    `echo "npm $* in $(pwd)" >> ${path('calls')}
mkdir -p node_modules/.bin
cat > node_modules/.bin/node <<'END'
${fakeNode}END
chmod +x node_modules/.bin/node`,
  );
}

function launch(args: readonly string[], { from = machine, as = path('checkout/resplice'), more = {} } = {}) {
  const { status, stdout, stderr } = spawnSync(as, args, {
    cwd: from,
    encoding: 'utf8',
    env: { PATH: path('bin'), HOME: machine, ...more },
    timeout: 20_000,
  });
  return { status, stdout, stderr };
}

function calls(): string[] {
  return existsSync(path('calls')) ? readFileSync(path('calls'), 'utf8').trim().split('\n') : [];
}

suite('the launcher', () => {
  beforeEach(layOut);
  afterEach(() => rmSync(machine, { recursive: true }));

  test('with nothing missing, installs nothing and becomes the CLI in the caller’s directory', () => {
    const { status, stdout, stderr } = launch(['up', '--backend-cmd', 'python3 -m http.server $PORT']);
    assert.equal(stderr, '');
    assert.equal(status, 0);
    const main = path('checkout/apps/cli/src/main.ts');
    assert.equal(stdout, `node ${main} up --backend-cmd python3 -m http.server $PORT\n${machine}\n`);
    assert.deepEqual(calls(), []);
  });

  test('keeps what Node has compiled beside its packages, or where its caller has it', () => {
    put('checkout/node_modules/.bin/node', '#!/bin/sh\nprintf %s "$NODE_COMPILE_CACHE"\n');
    assert.equal(launch(['up']).stdout, path('checkout/node_modules/.cache/node'));
    assert.equal(launch(['up'], { more: { NODE_COMPILE_CACHE: '/elsewhere' } }).stdout, '/elsewhere');
  });

  test('finds its checkout through a symbolic link', () => {
    symlinkSync(path('checkout/resplice'), path('bin/resplice'));
    const { stdout } = launch(['status'], { as: path('bin/resplice'), from: '/' });
    assert.match(stdout, /checkout\/apps\/cli\/src\/main\.ts status\n\/\n$/);
  });

  test('installs the package of a missing command, once, and goes on', () => {
    rmSync(path('bin/curl'));
    const { status, stderr, stdout } = launch(['up']);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /installing curl/);
    assert.deepEqual(calls(), [
      'apt-get -o DPkg::Lock::Timeout=300 update -q',
      'apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends curl',
    ]);
    assert.match(stdout, /main\.ts up/);
  });

  test('asks for the tools of the tests only to test', () => {
    for (const name of ['clang', 'chromium', 'tcpdump', 'linux.uml']) rmSync(path('bin', name));
    assert.equal(launch(['up']).status, 0);
    assert.deepEqual(calls(), []);
    assert.equal(launch(['test']).status, 0);
    assert.match(calls().at(-1)!, /--no-install-recommends clang chromium tcpdump user-mode-linux$/);
  });

  test('installs PostgreSQL without the cluster that its package would start', () => {
    const text = readFileSync(path('checkout/resplice'), 'utf8');
    put(
      'checkout/resplice',
      text
        .replaceAll('/usr/lib/postgresql', path('postgresql'))
        .replaceAll('/etc/postgresql-common', path('etc')),
    );
    // Sites without a database need none.
    assert.equal(launch(['up', '--detach', '--site', 'demo']).status, 0);
    assert.equal(launch(['up', '--backend-cmd', 'python3 -m http.server $PORT']).status, 0);
    assert.deepEqual(calls(), []);
    for (const verb of ['up', 'test']) {
      rmSync(path('calls'), { force: true });
      assert.equal(launch([verb]).status, 0);
      assert.match(calls().at(-1)!, /--no-install-recommends postgresql$/);
    }
    const settings = readFileSync(path('etc/createcluster.d/resplice.conf'), 'utf8');
    assert.equal(settings, 'create_main_cluster = false\n');
    put('postgresql/15/bin/postgres', '#!/bin/sh\n');
    rmSync(path('calls'));
    assert.equal(launch(['test']).status, 0);
    assert.deepEqual(calls(), []);
  });

  test('asks for what the tier is compared with only when that is to run', () => {
    for (const name of ['haproxy', 'nginx', 'wrk']) rmSync(path('bin', name));
    // This machine's own sbin, where the launcher looks too, may hold them.
    const text = readFileSync(path('checkout/resplice'), 'utf8');
    put('checkout/resplice', text.replace(':/usr/local/sbin:/usr/sbin:/sbin', ''));
    const installs = (...args: string[]) => {
      rmSync(path('calls'), { force: true });
      assert.equal(launch(args).status, 0);
      return calls()
        .map(call => /--no-install-recommends (.*)/.exec(call)?.[1])
        .filter(each => each !== undefined);
    };
    assert.deepEqual(installs('up', '--arm', 'forward'), []);
    assert.deepEqual(installs('up', '--arm', 'haproxy'), ['haproxy']);
    assert.deepEqual(installs('up', '--arm=nginx', '--detach'), ['nginx']);
    assert.deepEqual(installs('drill', 'matrix', '--arm', 'nginx'), ['nginx']);
    for (const paper of [['paper'], [], ['--json']]) {
      assert.deepEqual(installs('drill', ...paper), ['haproxy']);
    }
    assert.deepEqual(installs('bench'), ['haproxy nginx wrk']);
    assert.deepEqual(installs('test'), ['haproxy nginx wrk']);
  });

  test('installs Node and the npm packages when there are none, and only then', () => {
    uninstalled();
    const first = launch(['up']);
    assert.equal(first.status, 0, first.stderr);
    assert.match(first.stderr, /installing Node 24/);
    assert.match(first.stdout, /main\.ts up/);
    const { stdout } = launch(['up']);
    assert.match(stdout, /main\.ts up/);
    assert.deepEqual(calls(), [
      `npm ci --ignore-scripts --no-audit --no-fund --loglevel=error in ${path('checkout')}`,
    ]);
  });

  test('installs them anew when package-lock.json is another', () => {
    put('checkout/package-lock.json', '{"lock":2}\n');
    launch(['up']);
    assert.match(calls().join(), /^npm ci/);
  });

  test("takes a developer's own npm install as good", () => {
    put('checkout/package-lock.json', '{"lock":2}\n');
    put('checkout/node_modules/.package-lock.json', '{}');
    launch(['up']);
    assert.deepEqual(calls(), []);
  });

  test('without npm, installs it from Debian first', () => {
    uninstalled();
    rmSync(path('bin/npm'));
    rmSync(path('bin/node'));
    const { status, stderr } = launch(['up']);
    assert.match(calls().at(-1)!, /--no-install-recommends npm nodejs$/);
    assert.equal(status, 69, 'the stand-in for apt-get installs nothing');
    assert.match(stderr, /npm ci failed \(see above\)/);
  });

  test('who is not root is told so, exit 69, and may still read the help', () => {
    stub('id', 'echo 1000');
    const { status, stderr, stdout } = launch(['up']);
    assert.deepEqual([status, stdout], [69, '']);
    assert.match(stderr, /^resplice: .*run it as root \(sudo \.\/resplice \.\.\.\)\.\n$/);
    assert.equal(launch(['help']).status, 0);
  });

  test('a machine without apt-get, or whose apt-get fails, is told what to do, exit 69', () => {
    rmSync(path('bin/curl'));
    stub('apt-get', 'exit 100');
    assert.match(launch(['up']).stderr, /apt-get update failed/);
    assert.equal(launch(['up']).status, 69);
    rmSync(path('bin/apt-get'));
    const { status, stderr } = launch(['up']);
    assert.equal(status, 69);
    assert.match(stderr, /lacks curl, and has no apt-get/);
  });

  test('help answers before anything is installed', () => {
    uninstalled();
    for (const args of [[], ['help'], ['--help']]) {
      const { status, stdout } = launch(args);
      assert.deepEqual([status, stdout], [0, 'the help\n']);
    }
    assert.deepEqual(calls(), []);
  });
});
