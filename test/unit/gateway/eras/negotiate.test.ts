import { describe, expect, it } from "vitest";
import { inEitherEra, mayBeModern } from "../../../../src/gateway/eras/negotiate.ts";
import { speaks } from "../../../../src/gateway/eras/speaks.ts";
import {
  FAILURES,
  HandshakeRefused,
  UpstreamError,
} from "../../../../src/gateway/upstream/failure.ts";
import type { Replica, Upstream } from "../../../../src/gateway/upstream/upstream.ts";
import { upstreamWith } from "../../../support/mcp/upstream-with.ts";

const send: Replica["send"] = () => Promise.reject(new Error("nothing is sent"));
let made = 0;

function upstream(era?: Upstream["era"]): Upstream & { readonly replica: Replica } {
  const replica = { url: `https://negotiate-${made++}.invalid/mcp`, send, modern: send };
  return { ...upstreamWith(send), replicas: [replica], replica, ...(era && { era }) };
}

function refused(code: number, message = "no", status = 400, data?: unknown): HandshakeRefused {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, error: { code, message, data } });
  return new HandshakeRefused(status, body);
}

const failed = (status?: number) =>
  new UpstreamError(status === undefined ? FAILURES.unreachable : FAILURES.refused, { status });

describe("a refusal of initialize", () => {
  it.each<[string, unknown, boolean]>([
    ["-32022", refused(-32022), true],
    ["-32022 with newer versions", refused(-32022, "", 400, { supported: ["2026-07-28"] }), true],
    [
      "-32022 with versions that keep sessions",
      refused(-32022, "", 400, { supported: ["2026-07-28", "2025-11-25"] }),
      false,
    ],
    ["-32020", refused(-32020), true],
    ["-32021", refused(-32021), true],
    ["-32601 with 404", refused(-32601, "Method not found", 404), true],
    ["-32601 with 200", refused(-32601, "Method not found", 200), true],
    ["-32602 about _meta", refused(-32602, "Invalid _meta envelope"), true],
    ["-32602 about clientInfo", refused(-32602, "clientInfo is missing"), false],
    ["-32600 about the version", refused(-32600, "Unsupported protocol version"), true],
    ["-32603", refused(-32603), false],
    ["-32022 with 401", refused(-32022, "", 401), false],
    ["-32022 with 403", refused(-32022, "", 403), false],
    ["-32022 with 429", refused(-32022, "", 429), false],
    ["-32022 with 503", refused(-32022, "", 503), false],
    ["400 without words", failed(400), true],
    ["404 without words", failed(404), true],
    ["405", failed(405), true],
    ["413", failed(413), false],
    ["401 without words", failed(401), false],
    ["502", failed(502), false],
    ["no answer at all", failed(), false],
    ["another error", new Error("x"), false],
  ])("%s may be that of a stateless server: %#", (_name, refusal, expected) => {
    expect(mayBeModern(refusal)).toBe(expected);
  });
});

/** Initializes with a server of which one side refuses so. */
async function asked(
  one: ReturnType<typeof upstream>,
  refusals: { plain?: unknown; bridged?: unknown },
) {
  const order: string[] = [];
  const outcome = await inEitherEra(one, one.replica, (bridged) => {
    const side = bridged ? "bridged" : "plain";
    order.push(side);
    const refusal = refusals[side];
    return refusal === undefined ? Promise.resolve(side) : Promise.reject(refusal as Error);
  }).catch((failure: unknown) => failure);
  return { order, outcome };
}

describe("initializing with a server of either era", () => {
  it("asks a server with sessions nothing else", async () => {
    const one = upstream();
    expect(await asked(one, {})).toEqual({ order: ["plain"], outcome: "plain" });
    expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([true, undefined]);
  });

  it("learns a stateless server, and that it has changed", async () => {
    const one = upstream();
    const plain = refused(-32022);
    expect(await asked(one, { plain })).toEqual({
      order: ["plain", "bridged"],
      outcome: "bridged",
    });
    expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([false, true]);
    expect(await asked(one, { plain })).toEqual({ order: ["bridged"], outcome: "bridged" });
    const bridged = refused(-32000, "Unsupported protocol version");
    expect(await asked(one, { bridged })).toEqual({
      order: ["bridged", "plain"],
      outcome: "plain",
    });
    expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([true, false]);
  });

  it("learns nothing where both are refused, and says the first refusal", async () => {
    const one = upstream();
    const plain = refused(-32022);
    const both = await asked(one, { plain, bridged: failed(404) });
    expect(both).toEqual({ order: ["plain", "bridged"], outcome: plain });
    expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([undefined, undefined]);
  });

  it.each([failed(), failed(503), refused(-32000, "", 429), refused(-32000, "", 401)])(
    "says what the client can mend or wait for, where only the stateless era refuses so: %#",
    async (bridged) => {
      const one = upstream();
      expect((await asked(one, { plain: refused(-32022), bridged })).outcome).toBe(bridged);
      const plain = refused(-32602, "Unsupported protocol version");
      expect((await asked(one, { plain, bridged })).outcome).toBe(plain);
      expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([undefined, undefined]);
    },
  );

  it.each([failed(), failed(503), refused(-32022, "", 429), refused(-32022, "", 401)])(
    "asks a stateless server that fails nothing of the other era: %#",
    async (bridged) => {
      const one = upstream();
      await asked(one, { plain: refused(-32022) });
      expect(await asked(one, { bridged })).toEqual({ order: ["bridged"], outcome: bridged });
      expect(speaks(one, "legacy")).toBe(false);
    },
  );

  it("believes the operator", async () => {
    const refusal = refused(-32022);
    const modern = { bridged: refused(-32000) };
    expect(await asked(upstream("modern"), modern)).toEqual({
      order: ["bridged"],
      outcome: modern.bridged,
    });
    expect(await asked(upstream("legacy"), { plain: refusal })).toEqual({
      order: ["plain"],
      outcome: refusal,
    });
  });
});
