/** Names of this very machine. */

const LOOPBACK_NAME =
  /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\])$/;

/** Whether a host's name, as the URL parser writes it, reaches this machine only (RFC 6761, section 6.3). */
export function isLoopbackName(hostname: string): boolean {
  return LOOPBACK_NAME.test(hostname);
}

/** The parts of a `Host` header, or of `HOST` in the environment; undefined where it is not one. */
export function parseHost(text: string): { host: string; hostname: string } | undefined {
  if (/[/\\?#@\s]/.test(text)) return undefined;
  const bare = text.includes(":") && !text.includes("[") && text.split(":").length > 2;
  const url = URL.parse(`http://${bare ? `[${text}]` : text}`);
  return url ? { host: url.host, hostname: url.hostname } : undefined;
}
