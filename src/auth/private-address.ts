/** Addresses that are no public server's: what a request forged on our behalf would aim at. */

/** IPv4 networks that are not the public internet (IANA's special-purpose registry), as address and prefix length. */
const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

/** Names that stand for this machine or for what only a private network's resolver knows. */
const PRIVATE_NAME =
  /(^|\.)(localhost|local|internal|intranet|lan|home|corp|private|home\.arpa|onion|test|invalid)$/;

/**
 * Whether a host, as the URL parser writes it (so `0x7f.1` has become
 * `127.0.0.1`), is not a public one. A public name whose record points to a
 * private address is not recognised: nothing is resolved here.
 */
export function isPrivateHost(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/\.$/, "");
  if (name.startsWith("[")) return isPrivateV6(name.slice(1, -1));
  if (/^\d+(\.\d+){3}$/.test(name)) return isPrivateV4(v4Number(name));
  // A name without a dot is resolved within the network that it is used in.
  return !name.includes(".") || PRIVATE_NAME.test(name);
}

function isPrivateV4(address: number): boolean {
  return PRIVATE_V4.some(([network, length]) => {
    const size = 2 ** (32 - length);
    return Math.floor(address / size) === Math.floor(v4Number(network) / size);
  });
}

function v4Number(text: string): number {
  return text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function isPrivateV6(text: string): boolean {
  const groups = v6Groups(text);
  if (!groups) return true;
  const [a = 0, b = 0, c = 0] = groups;
  const embedded = embeddedV4(groups);
  if (embedded !== undefined) return isPrivateV4(embedded);
  // Global unicast is 2000::/3; of it, documentation (2001:db8::/32, 3fff::/20) and the rest of 2001::/23 are not public.
  if (a >> 13 !== 1) return true;
  return (
    (a === 0x2001 && (b < 0x200 || b === 0xdb8)) ||
    (a === 0x3fff && b < 0x1000) ||
    (a === 0 && c === 0)
  );
}

/** The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (RFC 6052), or 6to4. */
function embeddedV4(groups: readonly number[]): number | undefined {
  const [a = 0, b = 0, c = 0, , , f = 0, g = 0, h = 0] = groups;
  const last = g * 65536 + h;
  if (groups.slice(0, 5).every((group) => group === 0) && (f === 0xffff || f === 0)) return last;
  if (a === 0x64 && b === 0xff9b)
    return groups.slice(2, 6).every((group) => group === 0) ? last : 0;
  if (a === 0x2002) return b * 65536 + c;
  return undefined;
}

/** The eight groups of an IPv6 address as the URL parser writes it: without dots, `::` at most once. */
function v6Groups(text: string): number[] | undefined {
  const [head = "", tail] = text.split("::");
  const read = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const before = read(head);
  const after = tail === undefined ? [] : read(tail);
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => 0), ...after];
  return groups.length === 8 && groups.every((group) => group >= 0 && group <= 0xffff)
    ? groups
    : undefined;
}
