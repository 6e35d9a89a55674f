/** Where the gateway may send requests. */
import { describe, expect, it } from "vitest";
import { configuredUpstreamUrl, derivedUpstreamUrl } from "../../../src/config/upstreams.ts";

describe("a configured URL", () => {
  it.each([
    "https://mcp.example/mcp",
    "http://mcp.example:8080",
    "http://10.0.0.5:8080/mcp",
    "http://localhost:3000",
  ])("%s is taken: the operator names it", (text) => {
    expect(configuredUpstreamUrl(text)).toEqual({ ok: true, url: new URL(text) });
  });

  it.each([
    ["", "is not a URL"],
    ["mcp.example", "is not a URL"],
    ["http://", "is not a URL"],
    ["//mcp.example", "is not a URL"],
    ["file:///etc/passwd", "is not http or https"],
    ["ftp://mcp.example", "is not http or https"],
    ["data:text/plain,x", "is not http or https"],
    ["ws://mcp.example", "is not http or https"],
    ["javascript:alert(1)", "is not http or https"],
    ["https://user@mcp.example", "has credentials"],
    ["https://user:secret@mcp.example", "has credentials"],
    ["https://:secret@mcp.example", "has credentials"],
  ])("%s is refused: %s", (text, reason) => {
    expect(configuredUpstreamUrl(text)).toEqual({ ok: false, reason });
  });
});

describe("a URL from anywhere else, found at https://mcp.example/sse", () => {
  const base = new URL("https://mcp.example/sse");
  const elsewhere = { ok: false, reason: "is of another origin" };
  it.each([
    ["/messages?session=1", "https://mcp.example/messages?session=1"],
    ["messages", "https://mcp.example/messages"],
    ["https://mcp.example/other", "https://mcp.example/other"],
    ["https://MCP.example:443/other", "https://mcp.example/other"],
    ["?x=1", "https://mcp.example/sse?x=1"],
  ])("%s is of the same origin, and taken", (text, href) => {
    const verdict = derivedUpstreamUrl(text, base);
    expect(verdict.ok && verdict.url.href).toBe(href);
  });

  it.each([
    ["https://evil.example/", "is of another origin"],
    ["//evil.example/x", "is of another origin"],
    ["\\\\evil.example\\x", "is of another origin"],
    ["https://mcp.example.evil.example/", "is of another origin"],
    ["https://mcp.example:8443/", "is of another origin"],
    ["http://mcp.example/", "is of another origin"],
    ["https://mcp.example@evil.example/", "has credentials"],
    ["http://169.254.169.254/latest/meta-data", "is of another origin"],
    ["http://localhost:6379/", "is of another origin"],
    ["http://2130706433/", "is of another origin"],
    ["http://0x7f.1/", "is of another origin"],
    ["http://[::ffff:10.0.0.1]/", "is of another origin"],
    ["file:///etc/passwd", "is not http or https"],
    ["http://[", "is not a URL"],
  ])("%s is refused: %s", (text, reason) => {
    expect(derivedUpstreamUrl(text, base)).toEqual({ ok: false, reason });
  });

  it.each([
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.1",
    "0177.0.0.1",
    "2130706433",
    "0x7f000001",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "app.localhost",
    "printer.local",
    "metadata.google.internal",
    "db.internal.",
    "router.lan",
    "nas.home.arpa",
    "redis",
    "kubernetes",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::1]",
    "[2002:a00:1::]",
    "[2002:7f00:1::]",
    "[2001:db8::1]",
    "[2001::1]",
    "[3fff::1]",
    "[100::1]",
    "[5f00::1]",
  ])("%s, a private address, is refused however it is written", (host) => {
    expect(derivedUpstreamUrl(`http://${host}/`, base)).toEqual(elsewhere);
  });

  it.each([
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "169.253.1.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.1.1",
    "192.169.0.1",
    "223.255.255.255",
    "mcp.example",
    "internal.example",
    "localhost.example",
    "10.0.0.1.nip.example",
    "[2606:4700:4700::1111]",
    "[2a00:1450::1]",
    "[2400:cb00::1]",
    "[64:ff9b::8.8.8.8]",
    "[::ffff:8.8.8.8]",
    "[2002:808:808::]",
  ])("%s, a public address, is refused too", (host) => {
    expect(derivedUpstreamUrl(`http://${host}/`, base)).toEqual(elsewhere);
  });
});
