import CoordinatorCore
import CoordinatorStore
import Foundation
import GRDB

/// Puts in the place of a closed database one as it was before migration 11, with what that has of
/// the rows.
func makeReleased(_ path: String) throws {
  let old = path + ".old"
  var configuration = Configuration()
  configuration.foreignKeysEnabled = false
  let queue = try DatabaseQueue(path: old, configuration: configuration)
  try Migrations.migrator.migrate(queue, upTo: "10: fine-tuning")
  try queue.writeWithoutTransaction { db in
    try db.execute(sql: "ATTACH ? AS present", arguments: [path])
    let tables = try String.fetchAll(
      db,
      sql: """
        SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
        """)
    for table in tables where table != "grdb_migrations" {
      let columns = try db.columns(in: table).map(\.name).joined(separator: ", ")
      try db.execute(
        sql: """
          DELETE FROM main.\(table);
          INSERT INTO main.\(table) (\(columns)) SELECT \(columns) FROM present.\(table);
          """)
    }
    try db.execute(sql: "DETACH present")
  }
  try queue.close()
  let files = FileManager.default
  for file in [path, path + "-wal", path + "-shm"] where files.fileExists(atPath: file) {
    try files.removeItem(atPath: file)
  }
  try files.moveItem(atPath: old, toPath: path)
}
