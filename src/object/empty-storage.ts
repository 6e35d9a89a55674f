/**
 * Empties an object's storage but for one key, within the transaction of the turn.
 * `deleteAll` cannot: what it deletes and what is put after it are two steps, and
 * a crash between them would lose the key.
 */
export function emptyExcept(storage: DurableObjectStorage, kept: string): void {
  const tables = storage.sql.exec<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
  );
  for (const { name } of tables.toArray()) storage.sql.exec(`DROP TABLE "${name}"`);
  // Listed first: deleting under a listing would disturb it.
  const keys = Array.from(storage.kv.list(), ([key]) => key);
  for (const key of keys) if (key !== kept) storage.kv.delete(key);
}
