/**
 * The reference server of Durable Streams with its file store. JavaScript, as what it imports is
 * installed with the benchmark only, and the type check runs without. Arguments: its port, and the
 * folder of its files.
 */
import { DurableStreamTestServer } from "@durable-streams/server";

const [port, dataDir] = process.argv.slice(2);
await new DurableStreamTestServer({ port: Number(port), host: "127.0.0.1", dataDir }).start();
