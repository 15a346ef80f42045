import type { ComponentStatus, LabStatus, MemberStatus, WebmailStatus } from '@resplice/engines';

function table(rows: readonly (readonly string[])[]): string[] {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map(row => row[column]!.length)),
  );
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

function row(component: ComponentStatus, connections: LabStatus['connections']): string[] {
  const { name, role, state, addresses, processes, faults } = component;
  const carried = connections.filter(each => each[role as 'proxy' | 'backend'] === name).length;
  return [
    name,
    state,
    addresses.join(' ') || '-',
    Object.entries(processes)
      .map(([process, pid]) => `${process}:${pid}`)
      .join(' ') || '-',
    role === 'proxy' || role === 'backend' ? String(carried) : '-',
    faults
      .map(
        ({ kind, target, from, point }) =>
          `${kind} ${target}${from ? ` from ${from}` : ''}${point ? ` at ${point}` : ''}`,
      )
      .join(', '),
  ];
}

/** The lab for people; shared by `status` and by the live view of `up`. */
export function labTable(status: LabStatus): string[] {
  const { engine, arm, link, vip, client, components, connections } = status;
  return [
    `${arm} on the ${engine} engine, link ${link.name}: ${vip.url} from netns ${client.netns}`,
    '',
    ...table([
      ['COMPONENT', 'STATE', 'ADDRESSES', 'PROCESSES', 'CONNECTIONS', 'FAULTS'],
      ...components.map(component => row(component, connections)),
    ]),
  ];
}

/** What is followed, for people. */
export function siteTable({ listeners, pools }: LabStatus): string[] {
  return [
    ...table([
      ['LISTENER', 'URL', 'POOL', 'ADMITS'],
      ...listeners.map(({ name, url, pools: to, allow }) => [
        name,
        url,
        to.join(' '),
        allow?.join(' ') ?? 'everyone',
      ]),
    ]),
    '',
    ...table([
      ['POOL', 'AFFINITY', 'BACK ENDS (CONNECTIONS)'],
      ...pools.map(({ name, affinity, backends }) => [
        name,
        affinity ?? '-',
        backends.map(each => memberCell(each)).join(', '),
      ]),
    ]),
  ];
}

/** What is kept for back ends that may die, for people. */
export function webmailTable({ kits, auxiliaries }: WebmailStatus): string[] {
  const services = auxiliaries.flatMap(({ component, services }) =>
    services.map(({ name, connections, dialogues }) => [
      component,
      name,
      String(connections),
      String(dialogues),
    ]),
  );
  return [
    ...table([
      ['KIT', 'ALTERNATE', 'JOURNALS OWN/HELD', 'SESSIONS', 'RUNNING'],
      ...kits.map(({ backend, alternate, degraded, journals, sessions, running }) => [
        backend,
        degraded ? 'none: unprotected' : (alternate ?? '-'),
        `${journals.own}/${journals.held}`,
        String(sessions.live),
        String(running),
      ]),
    ]),
    '',
    ...table([['AUXILIARY LOGGER', 'SERVICE', 'CONNECTIONS', 'DIALOGUES'], ...services]),
  ];
}

function memberCell({ name, state, connections }: MemberStatus): string {
  return `${name}${state === 'up' ? '' : ` ${state}`} (${connections})`;
}

/** The newest connections, for people. */
export function connectionTable({ connections }: LabStatus, most = 20): string[] {
  if (connections.length === 0) return ['no connections'];
  const shown = connections.slice(0, most);
  const more = connections.length - shown.length;
  return [
    ...table([
      ['CLIENT', 'PROXY', 'BACK END', 'STATE', 'TRANSACTION', 'FAILOVERS'],
      ...shown.map(({ client, proxy, backend, state, reason, transaction, failovers }) => [
        client,
        proxy,
        backend ?? '-',
        reason === null ? state : `${state} (${reason})`,
        transaction ?? '-',
        String(failovers),
      ]),
    ]),
    ...(more > 0 ? [`and ${more} older ones`] : []),
  ];
}
