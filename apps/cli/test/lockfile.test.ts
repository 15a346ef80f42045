import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';

interface Locked {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync(new URL('../../../package-lock.json', import.meta.url), 'utf8'));
const packages = Object.entries(lock.packages as Record<string, Locked>);

suite('package-lock.json', () => {
  // A registry that lacks the packages of other systems makes npm leave them out, and then `npm ci` refuses the file.
  test('holds every optional package, those for other systems too', () => {
    const missing = packages.flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        name =>
          !(`${path}/node_modules/${name}` in lock.packages) && !(`node_modules/${name}` in lock.packages),
      ),
    );
    assert.deepEqual(missing, []);
  });

  test('pins one version of Node 24 for both architectures', () => {
    const versions = ['x64', 'arm64'].map(each => lock.packages[`node_modules/node-linux-${each}`].version);
    assert.match(versions[0], /^24\./);
    assert.equal(versions[0], versions[1]);
  });
});
