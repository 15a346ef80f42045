import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { checkHtpasswd } from '../src/htpasswd.ts';
import { formatProblem } from '../src/problem.ts';
import { found } from './site.ts';

const directory = mkdtempSync(join(tmpdir(), 'htpasswd-'));
after(() => rmSync(directory, { recursive: true }));

const HASH = `$2y$10$${'a'.repeat(53)}`;

function check(text: string) {
  const checked = checkHtpasswd('users', () => text);
  assert.ok('users' in checked);
  return { users: [...checked.users.keys()], problems: checked.problems.map(formatProblem) };
}

test('users, comments, blank lines and both line ends', () => {
  assert.deepEqual(
    check(`# staff\n\nada:${HASH}\r\n  # no one\ngr\u00e4ce x:${HASH.replace('$2y', '$2b')}\n`),
    {
      users: ['ada', 'gr\u00e4ce x'],
      problems: [],
    },
  );
});

test('each line that is no bcrypt entry is named, and the hash is not repeated', () => {
  const { users, problems } = check(`ada:${HASH}
md5:$apr1$salt$hashhashhash
sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
crypt:$6$salt$hash
des:rqXexS6ZhobKA
plain:secret!
argon:$argon2id$v=19$x
cut:${HASH.slice(0, -1)}
tail:${HASH}:x
fast:$2y$05$${'a'.repeat(53)}
slow:$2y$31$${'a'.repeat(53)}
ada:${HASH}
no colon
:${HASH}
 space:${HASH}
`);
  const remedy = 'write it with htpasswd -B -C 10';
  assert.deepEqual(users, ['ada', 'fast']);
  assert.deepEqual(problems, [
    `users:2:5: md5: is an MD5 hash, not a bcrypt hash: ${remedy}`,
    `users:3:5: sha: is an unsalted SHA-1 hash, not a bcrypt hash: ${remedy}`,
    `users:4:7: crypt: is a SHA crypt hash, not a bcrypt hash: ${remedy}`,
    `users:5:5: des: is a DES crypt hash, not a bcrypt hash: ${remedy}`,
    `users:6:7: plain: is plain text or unknown, not a bcrypt hash: ${remedy}`,
    `users:7:7: argon: is an Argon2 hash, not a bcrypt hash: ${remedy}`,
    `users:8:5: cut: is a damaged bcrypt hash, not a bcrypt hash: ${remedy}`,
    `users:9:6: tail: is a damaged bcrypt hash, not a bcrypt hash: ${remedy}`,
    `users:10:6: warning: fast: has bcrypt cost 5, which is quickly guessed: ${remedy}`,
    `users:11:6: slow: has bcrypt cost 31, which must be within 4…14: ${remedy}`,
    'users:12:1: ada: is a user already on line 1; programs differ in which one counts',
    'users:13:1: must be USER:HASH',
    'users:14:1: has no user before the colon',
    'users:15:1: has white space or control characters in the user',
  ]);
});

test('a file without a user admits no one, and is refused', () => {
  assert.deepEqual(check('# nobody yet\n').problems, ['users:1:1: has no user: nobody could sign in']);
});

test('what cannot be read says why, without blocking', () => {
  const reason = (file: string) => {
    const checked = checkHtpasswd(file);
    return 'unreadable' in checked ? checked.unreadable : 'read';
  };
  assert.equal(reason(join(directory, 'none')), 'does not exist');
  mkdirSync(join(directory, 'folder'));
  assert.equal(reason(join(directory, 'folder')), 'cannot be read: not a regular file');
  assert.equal(reason('/dev/zero'), 'cannot be read: not a regular file');
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  assert.equal(reason(join(directory, 'pipe')), 'cannot be read: not a regular file');
  writeFileSync(join(directory, 'big'), 'x'.repeat(1_048_577));
  assert.equal(reason(join(directory, 'big')), 'cannot be read: longer than 1048576 bytes');
  assert.match(reason('a\0b'), /^cannot be read: /);
  assert.equal(reason(join(directory, 'none', 'x')), 'does not exist');
  const denied = () => {
    throw Object.assign(new Error('EACCES: x'), { code: 'EACCES' });
  };
  assert.deepEqual(checkHtpasswd('x', denied), { unreadable: 'cannot be read: permission denied' });
  chmodSync(join(directory, 'big'), 0o600);
});

test('a site checks each password file once, beside itself, with its own line numbers', () => {
  const asked: string[] = [];
  const readText = (file: string) => {
    asked.push(file);
    return 'ada:secret\n';
  };
  const auth = 'auth: {basic: {realm: R, htpasswd: etc/users}}';
  const lines = found(
    `listeners:\n- {name: a, port: 80, pool: a, ${auth}}\n- {name: b, port: 81, pool: a, ${auth}}\npools: {a: {backends: all}}`,
    { readText },
  );
  assert.deepEqual(asked, [join(process.cwd(), 'etc/users')]);
  assert.deepEqual(lines, [
    `${asked[0]}:1:5: ada: is plain text or unknown, not a bcrypt hash: write it with htpasswd -B -C 10`,
  ]);
});

test('no content makes a check throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      const checked = checkHtpasswd('users', () => text);
      assert.ok('users' in checked);
      for (const problem of checked.problems) assert.match(formatProblem(problem), /^users:\d+:\d+: [^\n]+$/);
    }),
  );
});
