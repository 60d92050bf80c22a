import CoordinatorCore
import GRDB

extension Transaction {
  /// Notes which process of a worker asks for work; true while several seem to work with its key.
  ///
  /// - Parameter run: what the process calls itself; nil from a program that is older.
  func noteRun(_ run: String?, ofWorker id: String, now: Timestamp) throws -> Bool {
    guard let run else { return false }
    let row = try db.first("SELECT runs FROM worker WHERE id = ?", [id])
    let before = try row.map { try WorkerRuns(row: $0) } ?? WorkerRuns()
    var runs = before
    runs.note(run, at: now)
    if runs != before {
      try db.run("UPDATE worker SET runs = ? WHERE id = ?", [try jsonText(runs), id])
    }
    return runs.areSeveral(at: now)
  }
}

extension WorkerRuns {
  /// From the `runs` column of a worker; none where it is null.
  init(row: Row) throws {
    self = try row.optional("runs", as: String.self) == nil ? WorkerRuns() : row.json("runs")
  }
}
