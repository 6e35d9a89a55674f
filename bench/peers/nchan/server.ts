/** Starts nginx with nchan on a free port, with its own configuration and folders. */
import { execFile } from "node:child_process";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeFolder, type Server } from "../../servers.ts";
import { startProcess } from "../process.ts";

const NGINX = "/usr/sbin/nginx";
const MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";

export const HOW_TO_INSTALL = "apt-get install nginx-light libnginx-mod-nchan";

/** The versions, or undefined if nchan is not installed. */
export async function nchanVersion(): Promise<string | undefined> {
  const present = await Promise.allSettled([access(NGINX), access(MODULE)]);
  if (present.some(({ status }) => status === "rejected")) return undefined;
  const { stderr } = await promisify(execFile)(NGINX, ["-v"]);
  const nginx = /nginx\/(\S+)/.exec(stderr)?.[1] ?? "of unknown version";
  const query = ["-W", "-f=${Version}", "libnginx-mod-nchan"];
  const { stdout } = await promisify(execFile)("dpkg-query", query).catch(() => ({ stdout: "" }));
  return `${stdout && `libnginx-mod-nchan ${stdout}, `}nginx ${nginx}`;
}

/** Publishing is `POST /pub/NAME`, following `GET /sub/NAME`. */
export function startNchan(keptEvents: number): Promise<Server> {
  const folder = makeFolder("nchan");
  return startProcess(NGINX, async (port) => {
    const config = join(folder, "nginx.conf");
    await writeFile(config, configuration(folder, port, keptEvents));
    return ["-p", folder, "-e", "stderr", "-c", config];
  });
}

/** One process without a master: its CPU time is all of nginx's, and its end ends all. */
function configuration(folder: string, port: number, keptEvents: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `load_module ${MODULE};
daemon off;
master_process off;
pid ${join(folder, "nginx.pid")};
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
${temporary.map((name) => `  ${name}_temp_path ${join(folder, name)};`).join("\n")}
  server {
    listen 127.0.0.1:${port};
    location ~ ^/pub/([\\w-]+)$ {
      nchan_publisher;
      nchan_channel_id $1;
      nchan_message_buffer_length ${keptEvents};
      nchan_message_timeout 2h;
    }
    location ~ ^/sub/([\\w-]+)$ {
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }
  }
}
`;
}
