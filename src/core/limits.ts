/** Every fixed bound, with its unit and its reason. An operator's bounds are in `config/service.ts`. */

/** Events in one publish: an array is one atomic write, and this keeps it short. */
export const MAX_EVENTS_PER_PUBLISH = 100;
/** Characters in an event's name: names are labels; this keeps frames small. */
export const MAX_EVENT_NAME_LENGTH = 256;
/** Characters in an `Idempotency-Key`: a UUID or a hash fits several times over, and a row stays small. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255;
/**
 * The service sends frames of the first four names itself; a client that published one would forge
 * it. An EventSource gives `open` and `error` to the page's handlers of its own connection.
 */
export const RESERVED_EVENT_NAMES: readonly string[] = [
  "gap",
  "expired",
  "deleted",
  "ended",
  "open",
  "error",
];

/** Metadata keys in a session: metadata is a label map, read and written whole. */
export const MAX_METADATA_KEYS = 256;
/** UTF-8 bytes of a session's metadata as JSON: with the data it must fit one stored value. */
export const MAX_METADATA_BYTES = 128 * 1024;
/**
 * UTF-8 bytes of a session's data as JSON. A stored value holds at most 2 MiB, and
 * a string with a single character beyond Latin-1 takes two bytes for each.
 */
export const MAX_DATA_BYTES = 768 * 1024;
/** Levels of nesting in a JSON text: deeper ones are attacks on a recursive reader. */
export const MAX_JSON_DEPTH = 64;
/**
 * Values in a JSON text, from a client or an upstream. Each takes memory of its own when it is parsed:
 * 3.9 MB of `{}` took 220 MB. Measured with this many: see SECURITY.md.
 */
export const MAX_JSON_VALUES = 100_000;
/** Characters in a subject: a token's issuer and subject fit many times over. */
export const MAX_SUBJECT_LENGTH = 1024;

/** Shortest TTL, in milliseconds: below this the alarm's own latency dominates. */
export const MIN_TTL_MS = 100;
/** Longest TTL and lifetime, in milliseconds: one year. Longer is not a session. */
export const MAX_TTL_MS = 365 * 24 * 60 * 60 * 1000;

/**
 * Bytes of replay that a subscriber gets at once; it asks for the next page when these are
 * sent. At most a quarter of `STREAM_BUFFER_BYTES`: a page must not pass the bridge's bound alone.
 */
export const REPLAY_PAGE_BYTES = 256 * 1024;
/**
 * Bytes that the bridge hands over at a time. A slow reader may need longer than a keep-alive interval
 * for a large frame. Piece by piece, the bridge sees that the reader still takes something. A busy
 * thread hands over one piece for each commit that it stores, so a piece takes a whole page: with
 * 64 KiB, publishers of 8 MB a second had a reader cut that reads at once.
 */
export const PIECE_BYTES = 256 * 1024;
/**
 * Bytes that a connection may have to carry before it is seen to take any: a system wants more only
 * when a third of its buffer is free. On Linux that is a third of 4 MiB (`tcp_wmem`), and a little more.
 */
export const UNSEEN_BYTES = 1536 * 1024;
/**
 * Milliseconds that must lie between the end of one write to a reader and the beginning of the next,
 * for the next to prove that the first arrived (`stream/delivery.ts`). A connection that its reader has closed
 * takes bytes without an error until the answer to the first of them is back, a round trip later.
 */
export const CONFIRM_AFTER_MS = 250;
/**
 * Bytes a second of the slowest link on which a reader without an id misses nothing. An event does
 * not count as taken before such a link has had the time to carry it. It is half a megabit a second:
 * with less, a reader that comes after a burst would get most of it again.
 */
export const SLOW_LINK_BYTES_PER_S = 64 * 1024;
/**
 * Replaces `CONFIRM_AFTER_MS` while much is unread and publishers wait for readers. It serves events
 * with a quarter of the log after them: a link still holds those only if it is slower than the
 * publisher. With 25 ms, a log of the default size would refuse a publisher of 40 MiB a second
 * although its reader keeps up.
 */
export const CONFIRM_SOON_MS = 2;
/**
 * Subscribers for each millisecond that publishes are held after several came together, up to
 * `MAX_HOLD_MS`. (Measured with 16 publishes under way: docs/performance.md, "Fan-out".)
 */
export const WRITERS_PER_HELD_MS = 4;
export const MAX_HOLD_MS = 10;
/**
 * The share of the log, by count and by bytes, that publishes stored together may take: a
 * larger one would trim events before a reader that is attached gets them.
 */
export const MAX_SHARED_LOG = 1 / 4;
/**
 * Milliseconds that an attach waits for a place while the readers that have gone are detected: two
 * comments, `CONFIRM_AFTER_MS` apart, and the time for their failure to reach the object.
 */
export const PROBE_MS = 600;
/** Milliseconds between two checks of the readers that are attached already, each made by a new attach. */
export const PROBE_INTERVAL_MS = 1000;
/** Milliseconds before a client reconnects. A random time of up to as many more is added, so that 200 clients do not come at once. */
export const RETRY_MS = 1000;

/** Events in a page that is read as JSON: as many as ten publishes of the largest array. */
export const MAX_PAGE_EVENTS = 1000;
/** Events in such a page if the client names no limit. */
export const DEFAULT_PAGE_EVENTS = 100;
/** UTF-8 bytes of data in such a page, which the Worker holds whole: the log's own default bound. */
export const MAX_PAGE_BYTES = 4 * 1024 * 1024;
/** Seconds that a request may wait for the next event: proxies commonly cut one after a minute. */
export const MAX_WAIT_SECONDS = 30;
/** Milliseconds that a request waits before it may have to give its place to another. */
export const MIN_WAIT_MS = 1000;

/** Characters in a request's URL: an id, a ticket and a resume position fit several times over. */
export const MAX_URL_LENGTH = 8192;
/** Bytes of all request headers: common HTTP servers take as many, and a large access token fits. */
export const MAX_HEADER_BYTES = 32 * 1024;
/** Milliseconds within which a body must arrive: 4 MiB at 1.2 Mbit/s. */
export const BODY_MS = 30_000;
/** Bytes of a small body: its connection takes more memory than it. No route takes less. */
export const MAX_SMALL_BODY_BYTES = 64 * 1024;
/** Bytes of larger bodies that one Worker holds at a time: Cloudflare gives it 128 MB for everything. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024;
/**
 * Bytes of a body that sets a session's content. Common serializers write a character of two bytes as
 * six (`\u00e9`), so JSON may be three times as long as what is stored of it.
 */
export const MAX_SESSION_BODY_BYTES =
  3 * (MAX_METADATA_BYTES + MAX_DATA_BYTES) + MAX_SMALL_BODY_BYTES;
/** Bytes of JSON for one byte of an event: `\u001b` in a string is one byte of its data. */
export const JSON_BYTES_PER_EVENT_BYTE = 6;
/** Most characters of an error's detail, and of the client's text that it quotes. */
export const MAX_DETAIL_LENGTH = 200;
/**
 * Bytes, and milliseconds in all and without a byte, for which the service still takes in a body
 * that it refused, so that its sender reads the answer. A sender of more may lose the answer with
 * the connection. A busy process takes seconds to read what has long been sent.
 */
export const DRAIN_BYTES = 64 * 1024 * 1024;
export const DRAIN_MS = BODY_MS;
export const DRAIN_SILENCE_MS = 5_000;
/** Milliseconds for which the answer waits for such a body. A body that came with its head has ended by then. */
export const UNANSWERED_MS = 5;

/**
 * Files that one request may come to need: an object in memory has three open, and a connection to an
 * upstream takes two. A new session also wakes its directory shard.
 */
export const FILES_PER_REQUEST = 8;
/** The share of the files that the process may open up to which it takes requests: connections, timers and alarms need the rest. */
export const OPEN_FILES_SHARE = 0.75;
/** Milliseconds between two counts of the open files while there is no room. */
export const OPEN_FILES_PAUSE_MS = 50;

/** Milliseconds between two checks whether the disk has room: a check is a request to a folder. */
export const DISK_LOOK_MS = 250;

/** Messages in a batch of JSON-RPC: each is answered. */
export const MAX_BATCH = 100;
/** Characters in the id of a request, as JSON: a UUID fits several times over, and each answer repeats it. */
export const MAX_REQUEST_ID_LENGTH = 200;

/** Bytes of an upstream's messages that are stored and sent together: a turn of the object stays short. */
export const TURN_BYTES = 64 * 1024;
/** Milliseconds that an upstream's answer may take and still be answered as JSON; after that it is a stream. */
export const QUICK_ANSWER_MS = 250;
/**
 * Milliseconds for which the gateway waits to see that an upstream's SSE answer is one response
 * and nothing else. Then it answers with JSON, which costs no event rows. Most servers
 * answer every request as SSE.
 */
export const UPSTREAM_SETTLE_MS = 20;
/**
 * Milliseconds for which a large body is kept while the stream that answers it brings nothing. The
 * stream may begin with the error that the upstream's session is lost. Then the body is sent again.
 */
export const UPSTREAM_DOUBT_MS = 5000;
/** Milliseconds after its last answer for which a replica is sent calls without a ping. */
export const UPSTREAM_HEARD_MS = 10_000;
/** Milliseconds that an upstream has to answer such a ping. */
export const UPSTREAM_ASKED_MS = 5000;
/** Redirects in a row that the gateway follows: browsers follow 20, and an upstream's own path needs one. */
export const MAX_UPSTREAM_REDIRECTS = 3;
/** Milliseconds before the gateway resumes an upstream's broken stream, unless the upstream says otherwise. */
export const UPSTREAM_RETRY_MS = 1000;
/** The longest of such waits that an upstream can ask for, in milliseconds. */
export const MAX_UPSTREAM_RETRY_MS = 30_000;
/** The longest pause, in milliseconds, before the gateway asks again for a stream that the server may not offer. */
export const MAX_UPSTREAM_REFUSED_MS = 5 * 60 * 1000;
/** Milliseconds before the gateway asks for an upstream's standalone stream again; doubled with each refusal. */
export const MIN_UPSTREAM_RETRY_MS = 100;
/** The longest wait that an upstream can ask for by `Retry-After` before it is asked for its stream again, in milliseconds. */
export const MAX_RETRY_AFTER_MS = 10 * 60 * 1000;
/** Times in a row that the gateway resumes an upstream's stream that brings nothing. */
export const MAX_UPSTREAM_RESUMES = 60;
/** Times in a row that it tries so without being given a stream: the official client tries twice, a restart takes longer. */
export const MAX_UPSTREAM_RESUME_FAILURES = 5;
/** Milliseconds that a client's POST waits for the upstream's answer before it becomes a stream, if the upstream checks the client's credential. */
export const UPSTREAM_HEAD_MS = 1000;
/** Milliseconds that a call, and the client's own stream, wait at most for the upstream's standalone stream to be opened. */
export const UPSTREAM_HELD_MS = 1000;
/** The same for a call to a server that is known to ask by that stream: a question that comes before it is lost. */
export const ASKING_UPSTREAM_HELD_MS = 10_000;
/** UTF-8 bytes of an initialize request: metadata keeps it, to be sent again. */
export const MAX_INIT_BODY_BYTES = 64 * 1024;

/** UTF-8 bytes of the keys and values that a server of one's own may store with its session, as JSON, and how many of them. */
export const MAX_STATE_BYTES = 256 * 1024;
export const MAX_STATE_KEYS = 4096;
/** Times at which such a server may ask to be woken: all of them are one row. */
export const MAX_WAKES = 100;
/** Milliseconds that such a server has to start: a call waits for it. */
export const SERVER_START_MS = 30_000;
/** Milliseconds that its handler of `onWake` has: the object's alarm waits for it, and the platform gives that 15 minutes. */
export const SERVER_WAKE_MS = 5 * 60 * 1000;

/** Milliseconds for which `/readyz` answers what the last checks found: each writes a row and asks every shard. */
export const READY_MS = 2_000;
/** Milliseconds that a check of `/readyz` may take before it counts as failed. */
export const READY_TIMEOUT_MS = 3_000;
/** Milliseconds for which `/metrics` shows the same counts of sessions: to count asks every shard. */
export const COUNTS_MS = 5_000;

/** Entries in one page over HTTP: a page is one answer of every shard. */
export const MAX_LIST_LIMIT = 200;
/** Entries in a page if the caller names no limit. */
export const DEFAULT_LIST_LIMIT = 50;
/** Shards of the directory: a listing asks each of them. */
export const MAX_DIRECTORY_SHARDS = 256;
/** Milliseconds that a call to a directory shard may take before the shard counts as down. */
export const SHARD_TIMEOUT_MS = 5_000;
/** Milliseconds after a session's last possible deadline until a shard that heard no more drops its entry. */
export const ENTRY_GRACE_MS = 10_000;
/**
 * Milliseconds for which the entry of a session that is held open renews itself. Then the session tells it again:
 * a shard that has lost its storage would not list it before.
 */
export const RENEWED_FOR_MS = 24 * 60 * 60 * 1000;
/** Milliseconds for which a shard remembers a removal: longer than any message can be under way. */
export const REMOVAL_MEMORY_MS = 10 * 60 * 1000;
/**
 * Milliseconds before a session tells the directory of a change: the answer to the caller
 * goes first if both share a thread, and one message covers changes in quick succession.
 */
export const SEND_DELAY_MS = 10;
/**
 * Milliseconds for which a shard gathers messages before it stores them together.
 * Nobody waits for it but a caller whose subject has a limit of sessions. (Measured
 * with 16 creates under way: a directory's share of the work fell by half.)
 */
export const GATHER_MS = 5;
/** Milliseconds before a message that the directory did not take is sent again: the first wait, and the longest. */
export const FIRST_RESEND_MS = 2_000;
export const LONGEST_RESEND_MS = 5 * 60 * 1000;
/**
 * Tries of one alarm that fail before the object sets the next one itself: the platform gives up after
 * six, and then a session whose storage was full would never expire.
 */
export const OWN_ALARM_AFTER_TRIES = 4;
/** Times that a message gets a new order because a shard holds a later one, before it waits for a retry. */
export const MAX_RESTAMPS = 3;
/** Rows that a shard drops, or moves to other shards, in one go: each go is one short turn. */
export const SWEEP_BATCH = 500;
export const REBALANCE_BATCH = 250;
/** Milliseconds between two sweeps, so that entries that end one by one do not wake a shard for each. */
export const SWEEP_INTERVAL_MS = 5_000;
/** Types that a listing in a shard merges; with more it has an index over all: see docs/directory.md. */
export const MAX_MERGED_TYPES = 4;
/** Sessions that a shard ends in one go: each is a call to an object, and an invocation has a bound on those. */
export const REVOKE_BATCH = 100;
/** Milliseconds before a shard goes on with work that failed. */
export const SHARD_RETRY_MS = 5_000;
/**
 * Milliseconds for which a revocation also ends sessions whose entry comes late. A session that no shard knows
 * reports at its next use or at its deadline, which is a TTL away at most, or within two days if its entry renewed
 * itself. Its shard may be down then for a while.
 */
export const REVOCATION_MEMORY_MS = MAX_TTL_MS + 24 * 60 * 60 * 1000;
/** Milliseconds for which a listing reads twice after a move of entries has ended. */
export const MOVE_SETTLE_MS = 60_000;
/** Milliseconds for which a shard reserves a place for a session that is being made. */
export const RESERVATION_MS = 30_000;

/** Characters of a task's status message: a line for people, which each of its events repeats. */
export const MAX_STATUS_MESSAGE_LENGTH = 1000;
/**
 * Milliseconds until a task at work is looked at, and between two looks at most. An object that died under a
 * task wakes for such a look alone. Each look sets an alarm, which is a row, so each comes when the task is four
 * times as old as at the last one.
 */
export const FIRST_TASK_LOOK_MS = 5_000;
export const LONGEST_TASK_LOOK_MS = 10 * 60 * 1000;
/** Milliseconds before a call is repeated for an upstream that asked nothing: the official client waits as long. */
export const TASK_REPEAT_MS = 250;
/** Characters of a tool's name in the metadata of its task, which would have no room for one of any length. */
export const MAX_TASK_TOOL_LENGTH = 256;
/**
 * Tasks that one owner may have unless `MAX_TASKS_PER_OWNER` says otherwise, ended ones too while they live: with an
 * hour for each, one new task every 4 seconds. A client that calls in a loop is stopped there.
 */
export const MAX_OWNED_TASKS = 1000;
/** Tasks that one `subscriptions/listen` may name: each is a stream of its own in the Worker. */
export const MAX_LISTENED_TASKS = 100;
/** Milliseconds for which the upstream's standalone stream is held after the last call of a client without sessions. */
export const ERA_LINGER_MS = 5000;
/** Milliseconds for which the gateway waits for more questions before it asks the client: a server may ask several at once. */
export const ERA_GATHER_MS = 100;
/**
 * MCP sessions of one principal beyond which no more is made for a client of the stateless revision. Such a client
 * has one for each upstream, name, version and set of capabilities, and more while calls have to be alone in one.
 */
export const MAX_ERA_SESSIONS = 1000;
/** Sessions that a call tries because they were free, before it takes one that no call of its isolate has been in. */
export const MAX_SLOTS_TRIED_AGAIN = 8;
/** Clients of whose sessions an isolate remembers which are free. It tries more of them for a client that it has forgotten. */
export const MAX_POOLED_CLIENTS = 1000;
/** Calls of one session that may wait for its client, and the answers that were given to some of their questions. */
export const MAX_PARKED_CALLS = 256;
/** UTF-16 units of all of them: an answer reads them. One call alone may be as large as a message. */
export const MAX_PARKED_UNITS = 16 * 1024 * 1024;
/** Resources that one `subscriptions/listen` may name: the upstream is asked for each. */
export const MAX_LISTENED_RESOURCES = 1000;
