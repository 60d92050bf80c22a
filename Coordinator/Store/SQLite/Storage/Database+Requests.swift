import CoordinatorCore
import Foundation
import GRDB
import WireProtocol

/// Requests: effects and reads.
extension Database {
  func add(_ rows: [RequestRow]) throws {
    for row in rows {
      let columns = try row.state.columns
      try run(
        """
        INSERT INTO request (number, batch, line, id, custom_id, rendering, state, queue, unit,
          first_sequence, sequences, prompt_tokens, max_tokens, failure, ended_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
          row.number, row.batch, row.line, row.id, row.customID, row.rendering, columns.state,
          row.queue, row.unit, row.unit == nil ? nil : row.firstSequence, row.sequences,
          row.promptTokens, row.maxTokens, columns.failure, columns.endedAt,
        ] as StatementArguments)
      if let input = row.input {
        try run(
          "INSERT INTO request_input (request, sequences) VALUES (?, ?)", [row.number, input])
      }
    }
  }

  func cut(_ members: [UnitMember], into unit: Int64) throws {
    for member in members {
      try run(
        "UPDATE request SET state = 'in_unit', unit = ?, first_sequence = ? WHERE number = ?",
        [unit, member.firstSequence, member.request])
      // The unit's inputs blob holds the sequences from now on.
      try forgetInput(of: member.request)
    }
  }

  func end(_ requests: [EndedRequest], at time: Timestamp) throws {
    for request in requests {
      let columns = try RequestRow.State.ended(request.ending, at: time).columns
      try run(
        "UPDATE request SET state = ?, failure = ?, ended_at = ? WHERE number = ?",
        [columns.state, columns.failure, columns.endedAt, request.number])
      try forgetInput(of: request.number)
    }
  }

  func reopen(_ requests: [Int64]) throws {
    for request in requests {
      try run(
        """
        UPDATE request SET state = 'in_unit', failure = NULL, ended_at = NULL WHERE number = ?
        """, [request])
    }
  }

  func endOpen(ofBatch batch: Int64, _ ending: EndedRequest.Ending, at time: Timestamp) throws {
    let columns = try RequestRow.State.ended(ending, at: time).columns
    try run(
      """
      DELETE FROM request_input WHERE request IN
        (SELECT number FROM request WHERE batch = ? AND state = 'waiting')
      """, [batch])
    try run(
      """
      UPDATE request SET state = ?, failure = ?, ended_at = ?
      WHERE batch = ? AND state IN ('waiting', 'in_unit')
      """, [columns.state, columns.failure, columns.endedAt, batch])
  }

  func removeRequests(ofBatch batch: Int64) throws {
    try run(
      "DELETE FROM request_input WHERE request IN (SELECT number FROM request WHERE batch = ?)",
      [batch])
    try run("DELETE FROM request WHERE batch = ?", [batch])
  }

  private func forgetInput(of request: Int64) throws {
    try run("DELETE FROM request_input WHERE request = ?", [request])
  }

  /// The next of a queue after a line, up to the limits of a window.
  func waitingRequests(ofQueue queue: Int64, afterLine line: Int) throws -> [WaitingRequest] {
    let rows = try Row.fetchCursor(
      try cachedStatement(
        sql: """
          SELECT request.number AS number, request.line AS line,
            request_input.sequences AS sequences
          FROM request JOIN request_input ON request_input.request = request.number
          WHERE request.queue = ? AND request.state = 'waiting' AND request.line > ?
          ORDER BY request.line LIMIT ?
          """), arguments: [queue, line, RequestWindow.limit])
    var bytes = 0
    var waiting: [WaitingRequest] = []
    while bytes < RequestWindow.byteLimit, let row = try rows.next() {
      let input: Data = try row.value("sequences")
      waiting.append(
        WaitingRequest(
          number: try row.value("number"), line: try row.value("line"), input: input))
      bytes += input.count
    }
    return waiting
  }

  func outcomes(ofBatch batch: Int64, afterLine line: Int, limit: Int) throws -> [RequestOutcome] {
    try all(
      """
      SELECT request.*, unit.digest AS unit_digest, unit.inputs AS unit_inputs,
        unit.result AS unit_result, unit.verification AS unit_verification,
        unit.replicas AS unit_replicas
      FROM request LEFT JOIN unit ON unit.number = request.unit
      WHERE batch = ? AND line > ? ORDER BY line LIMIT ?
      """, [batch, line, limit]
    ).map(RequestOutcome.init(row:))
  }
}

extension RequestRow.State {
  /// How the columns `state`, `failure` and `ended_at` spell it.
  fileprivate var columns: (state: String, failure: String?, endedAt: Timestamp?) {
    get throws {
      switch self {
      case .waiting: ("waiting", nil, nil)
      case .inUnit: ("in_unit", nil, nil)
      case .ended(.completed, let time): ("completed", nil, time)
      case .ended(.failed(let failure), let time): ("failed", try jsonText(failure), time)
      case .ended(.expired, let time): ("expired", nil, time)
      case .ended(.cancelled, let time): ("cancelled", nil, time)
      }
    }
  }
}

extension RequestOutcome {
  /// From a row of `request` with the columns of its unit.
  init(row: Row) throws {
    let state: String = try row.value("state")
    let ending: Ending =
      switch state {
      case "completed": .completed(try CompletedRequest(row: row))
      case "failed": .failed(try row.json("failure"))
      case "expired": .expired
      case "cancelled": .cancelled
      default: throw Row.damaged("request.state")
      }
    self.init(
      id: try row.value("id"), line: try row.value("line"), customID: try row.value("custom_id"),
      rendering: try row.value("rendering"), ending: ending)
  }
}

extension CompletedRequest {
  fileprivate init(row: Row) throws {
    self.init(
      unit: try row.value("unit_digest"), inputs: try row.value("unit_inputs"),
      result: try row.value("unit_result"), firstSequence: try row.value("first_sequence"),
      sequenceCount: try row.value("sequences"), verification: try row.name("unit_verification"),
      replicas: try row.value("unit_replicas"), completedAt: try row.value("ended_at"))
  }
}
