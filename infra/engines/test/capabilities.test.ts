import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { mountsIn } from '../src/bpf-filesystem.ts';
import { asCapability, requireMachine, requireRoot } from '../src/capabilities.ts';
import { LabError, placeNamed } from '../src/index.ts';

const fit = {
  userId: 0,
  platform: 'linux',
  kernelRelease: '6.1.0-18-amd64',
  filesystems: 'nodev\tbpf\n\text4\n',
};

suite('capabilities', () => {
  test('a fit machine passes, and so does a newer one', () => {
    requireMachine(fit);
    requireMachine({ ...fit, kernelRelease: '6.18.44' });
    requireMachine({ ...fit, kernelRelease: '10.0.1-rc1' });
  });

  const lacking: [string, object, RegExp][] = [
    ['another user', { userId: 1000 }, /run it as root/],
    ['another system', { platform: 'darwin' }, /needs Linux, this is darwin/],
    ['an old kernel', { kernelRelease: '5.10.0-28-amd64' }, /6\.1 or newer, this is 5\.10/],
    ['a slightly old kernel', { kernelRelease: '6.0.12' }, /6\.1 or newer/],
    ['no BPF', { filesystems: 'nodev\tsysfs\n' }, /no BPF/],
  ];
  for (const [what, difference, message] of lacking) {
    test(`${what} is named in one sentence`, () => {
      assert.throws(
        () => requireMachine({ ...fit, ...difference }),
        (error: LabError) => {
          assert.equal(error.code, 'capability');
          assert.match(error.message, message);
          assert.ok(!error.message.includes('\n'));
          return true;
        },
      );
    });
  }

  test('root alone is asked of verbs that only look', () => {
    requireRoot({ userId: 0 });
    assert.throws(() => requireRoot({ userId: 1 }), { code: 'capability' });
  });

  test('what a container forbids is told as such; other errors stay what they are', () => {
    const denied = asCapability(new Error('ip -batch -: Operation not permitted'));
    assert.ok(denied instanceof LabError && denied.code === 'capability');
    const veth = asCapability(new Error('Error: Unknown device type.'));
    assert.match((veth as Error).message, /veth/);
    const other = new Error('something else');
    assert.equal(asCapability(other), other);
  });

  test('only mounts of our own directory are ours, the last mounted first', () => {
    const info = ['/run', '/run/rstestx', '/run/rstestx/bpf', '/run/rstestxy/bpf', '/run/rstestx/bpf']
      .map((point, index) => `${index} 1 0:1 / ${point} rw - bpf bpf rw`)
      .join('\n');
    assert.deepEqual(mountsIn(placeNamed('rstestx'), info), [
      '/run/rstestx/bpf',
      '/run/rstestx/bpf',
      '/run/rstestx',
    ]);
  });

  test("a place's name cannot reach outside of its own names", () => {
    for (const name of ['', '..', 'a/b', 'a-b', 'A', '1a']) assert.throws(() => placeNamed(name), RangeError);
  });
});
