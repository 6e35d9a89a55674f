import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Certificates {
  /** The CA's certificate, as PEM. */
  readonly ca: string;
  readonly caFile: string;
  /** Arguments with which a Redis server listens with TLS alone, for 127.0.0.1 but not for `localhost`. */
  readonly listen: (port: number) => readonly string[];
  /** Makes a certificate of the same CA for one host name, with its key, as PEM. */
  readonly of: (host: string) => Promise<{ readonly cert: string; readonly key: string }>;
  /** Deletes their files. */
  readonly remove: () => Promise<void>;
}

/** Makes a CA and a server's certificate, valid for a day; the caller removes them. */
export async function makeCertificates(): Promise<Certificates> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-tls-"));
  const file = (name: string) => join(dir, name);
  const selfSigned = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1";
  const openssl = (args: string) =>
    run("openssl", `${selfSigned} ${args}`.split(" "), { cwd: dir });
  await openssl("-subj /CN=test-ca -keyout ca.key -out ca.crt");
  const issue = (names: string, as: string) =>
    openssl(
      `-subj /CN=test-server -CA ca.crt -CAkey ca.key -addext subjectAltName=${names} -addext basicConstraints=critical,CA:FALSE -keyout ${as}.key -out ${as}.crt`,
    );
  await issue("IP:127.0.0.1", "server");
  return {
    ca: readFileSync(file("ca.crt"), "utf8"),
    caFile: file("ca.crt"),
    listen: (port) =>
      `--port 0 --tls-port ${port} --tls-auth-clients no --tls-cert-file ${file("server.crt")} --tls-key-file ${file("server.key")} --tls-ca-cert-file ${file("ca.crt")}`.split(
        " ",
      ),
    async of(host) {
      await issue(`DNS:${host}`, host);
      const read = (ending: string) => readFileSync(file(host + ending), "utf8");
      return { cert: read(".crt"), key: read(".key") };
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}
