/** The service, counting how much its objects ask of the platform. `GET /counts` answers the counts and clears them. */
import service, * as own from "../../src/worker.ts";
import { counting, takeCounts } from "./objects.ts";

export const SessionObject = counting(own.SessionObject, "sessions");
export const DirectoryObject = counting(own.DirectoryObject, "directory");

export default {
  fetch: (request) =>
    new URL(request.url).pathname === "/counts" ? takeCounts() : service.fetch(request),
} satisfies ExportedHandler;
