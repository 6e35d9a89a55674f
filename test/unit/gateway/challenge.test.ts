import fc from "fast-check";
import { expect, it } from "vitest";
import { metadataIn, ownChallenge } from "../../../src/gateway/challenge.ts";

const OWN = {
  resource: "https://us.example/mcp",
  metadata: "https://us.example/.well-known/x/mcp",
};

it.each<[challenge: string, own: string | undefined]>([
  ["Bearer", "Bearer"],
  ["", ""],
  [
    'Bearer error="invalid_token", resource_metadata="https://up.example/m", scope="a b"',
    `Bearer error="invalid_token", resource_metadata="${OWN.metadata}", scope="a b"`,
  ],
  ['Bearer resource="https://up.example/"', `Bearer resource="${OWN.resource}"`],
  ["Bearer RESOURCE = https://up.example/", `Bearer RESOURCE="${OWN.resource}"`],
  [
    "Bearer resource_metadata=https://up.example/m,scope=a",
    `Bearer resource_metadata="${OWN.metadata}",scope=a`,
  ],
  [
    'Basic realm="a", Bearer resource="https://up.example/", DPoP algs="ES256"',
    `Basic realm="a", Bearer resource="${OWN.resource}", DPoP algs="ES256"`,
  ],
  ["Negotiate YWJjZA==", "Negotiate YWJjZA=="],
  // Text within another value is no parameter of ours.
  ['Bearer realm="resource=\\"x\\", y"', 'Bearer realm="resource=\\"x\\", y"'],
  ['Bearer error_description="see resource=a"', 'Bearer error_description="see resource=a"'],
  ['Bearer resource="https://up.example/', undefined],
  ['Bearer "https://up.example/"', undefined],
  ["Bearer realm=<https://up.example/>, (x)", undefined],
])("%s", (challenge, own) => {
  expect(ownChallenge(challenge, OWN)).toBe(own);
});

it.each<[challenge: string, url: string | undefined]>([
  ["", undefined],
  ["Bearer", undefined],
  ['Bearer resource_metadata="https://up.example/m"', "https://up.example/m"],
  ["Basic, Bearer a=b, Resource_Metadata = https://up.example/m?a", "https://up.example/m?a"],
  ['Bearer resource_metadata="https://up.example/\\"m"', 'https://up.example/"m'],
  ['Bearer error="resource_metadata=https://up.example/m"', undefined],
  ['Bearer resource_metadata="https://up.example/m', undefined],
])("the metadata that %s names: %s", (challenge, url) => {
  expect(metadataIn(challenge)).toBe(url);
});

it("replaces the resource by our own, and no text around it", () => {
  const text = fc.string({ unit: fc.constantFrom("a", " ", ",", "=", "\\\\", '\\"', ";") });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), fc.nat(4), (values, place) => {
      const parameters = values.map((value, n) => `p${n}="${value}"`);
      const before = parameters.toSpliced(place, 0, 'resource="https://up.example/"');
      const after = parameters.toSpliced(place, 0, `resource="${OWN.resource}"`);
      const challenge = `Bearer ${before.join(", ")}`;
      expect(ownChallenge(challenge, OWN)).toBe(`Bearer ${after.join(", ")}`);
    }),
  );
});
