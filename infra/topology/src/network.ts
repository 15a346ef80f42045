/** The lab's segments: each is one bridge in the fabric's namespace (ARCHITECTURE §1). `aux` is there with the webmail alone. */
export type NetworkName = 'wan' | 'front' | 'middle' | 'back' | 'aux';

export interface Network {
  readonly name: NetworkName;
  /** The bridge that joins its hosts, named after the network. */
  readonly bridge: string;
  /** The first three octets: every network is a /24. */
  readonly prefix: string;
  readonly subnet: string;
}

export const prefixLength = 24;

function network(name: NetworkName, prefix: string): Network {
  return { name, bridge: name, prefix, subnet: `${prefix}.0/${prefixLength}` };
}

export const networks: Readonly<Record<NetworkName, Network>> = {
  wan: network('wan', '10.61.0'),
  front: network('front', '10.62.0'),
  middle: network('middle', '10.63.0'),
  back: network('back', '10.64.0'),
  aux: network('aux', '10.65.0'),
};

/** The address that clients know. No host holds it: the balancer's BPF answers for it (P4.1). */
export const vip = { address: '10.60.0.1', port: 80, subnet: '10.60.0.0/24' } as const;

/** @param host last octet, 1..254 */
export function addressIn(name: NetworkName, host: number): string {
  if (!Number.isInteger(host) || host < 1 || host > 254) {
    throw new RangeError(`${name}: host number ${host} is outside 1..254`);
  }
  return `${networks[name].prefix}.${host}`;
}

/** The machine's own address on a network, where an engine gives it one. */
export function machineOn(name: NetworkName): string {
  return addressIn(name, 254);
}

/**
 * A locally administered MAC that follows from the address.
 * A host that crashed and came back keeps it, so its neighbours' ARP entries stay true: with a random one they
 * would send into the void until their entry is probed again, five to eight seconds.
 */
export function macOf(address: string): string {
  const octets = address.split('.').map(octet => Number(octet).toString(16).padStart(2, '0'));
  return ['02', '00', ...octets].join(':');
}
