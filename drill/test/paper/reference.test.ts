import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseLink } from '@resplice/topology';
import { actions, columns, modelSeconds, printed, scaled, weights } from '../../src/paper/reference.ts';

suite("the paper's figures", () => {
  const cells = actions.flatMap(action =>
    columns.map(({ name, link }) => ({ action, name, link, cell: printed[action].cells[name] })),
  );

  test('failover is the difference, but for the cell whose sign was lost in print', () => {
    const odd = cells.flatMap(({ action, name, cell }) =>
      (['traditional', 'ours'] as const).flatMap(architecture => {
        const { noFailure, withFailure, failover } = cell[architecture];
        const isDifference = Math.abs(withFailure - noFailure - failover) < 0.006;
        return isDifference
          ? []
          : [`${action} ${name} ${architecture} ${(withFailure - noFailure).toFixed(2)}`];
      }),
    );
    assert.deepEqual(odd, ['action2 WAN-IN ours -1.13']);
  });

  test('overhead is the difference without failure, and its percentage truncated', () => {
    for (const { cell } of cells) {
      const { traditional, ours, overhead } = cell;
      const seconds = ours.noFailure - traditional.noFailure;
      assert.ok(Math.abs(seconds - overhead.seconds) < 0.006, `${seconds} ${overhead.seconds}`);
      if (overhead.percent === null) continue;
      const percent = (100 * seconds) / traditional.noFailure;
      assert.ok(Math.abs(percent - overhead.percent) < 0.1, `${percent} ${overhead.percent}`);
    }
  });

  test('the calibrated weights and links give the traditional column without failure', () => {
    for (const { action, name, link, cell } of cells) {
      const made = modelSeconds(weights[action], parseLink(link));
      const off = Math.abs(made / cell.traditional.noFailure - 1);
      assert.ok(off < (name === 'WAN-IN' ? 0.055 : 0.013), `${action} ${name}: ${made}`);
    }
  });

  test('a scale leaves fewer objects of the same kind', () => {
    assert.deepEqual(scaled(weights.action1, 0.2), { ...weights.action1, objects: 29 });
    assert.equal(scaled(weights.action2, 0.001).objects, 1);
  });
});
