/**
 * Empties an object's storage but for one key, within the transaction of the turn.
 * `deleteAll` cannot: what it deletes and what is put after it are two steps, and
 * a crash between them would lose the key. Tables stay, without rows: SQLite drops
 * none that some cursor still reads, and one may have stopped in mid-page.
 */
export function emptyExcept(storage: DurableObjectStorage, kept: string): void {
  const tables = storage.sql.exec<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
  );
  // Without WHERE, SQLite frees the pages at once instead of deleting row by row.
  for (const { name } of tables.toArray()) storage.sql.exec(`DELETE FROM "${name}"`);
  // Listed first: deleting under a listing would disturb it.
  const keys = Array.from(storage.kv.list(), ([key]) => key);
  for (const key of keys) if (key !== kept) storage.kv.delete(key);
}
