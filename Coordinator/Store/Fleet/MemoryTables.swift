import CoordinatorCore
import Foundation
import WireProtocol

/// What a storage in memory keeps.
struct MemoryTables: Sendable {
  struct WorkerDay: Hashable {
    let worker: String
    let day: Day
  }

  /// The rows that a working set is made of, those that have ended among them.
  private var rows = RowTables()
  private(set) var requests: [Int64: RequestRow] = [:]
  /// Numbers of requests in the order of their lines.
  private var requestsOfBatch: [Int64: [Int64]] = [:]
  private var requestsOfQueue: [Int64: [Int64]] = [:]
  private(set) var receipts: [ReceiptRow] = []
  private(set) var contributions: [WorkerDay: DayContribution] = [:]
  private(set) var events: [Int64: [FineTuningEvent]] = [:]
  private(set) var batchNumbers: [String: Int64] = [:]
  private var unitOfLease: [String: Int64] = [:]
  private var unitsOfWorker: [String: [Int64]] = [:]

  var batches: [Int64: BatchRow] { rows.batches }
  var queues: [Int64: QueueRow] { rows.queues }
  var units: [Int64: UnitRow] { rows.units }
  var tuningJobs: [Int64: TuningJobRow] { rows.tuningJobs }
  var tuningRounds: [TuningRoundRow.Key: TuningRoundRow] { rows.tuningRounds }

  func workingSet() -> WorkingSet { rows.workingSet() }

  mutating func apply(_ changes: FleetChanges) {
    for row in changes.batches.upserts { batchNumbers[row.record.id] = row.number }
    for row in changes.units.upserts {
      let known = rows.units[row.number]?.leases.count ?? 0
      for (replica, lease) in zip(row.unit.replicas, row.leases).dropFirst(known) {
        unitOfLease[lease.lease] = row.number
        unitsOfWorker[replica.worker, default: []].append(row.number)
      }
    }
    rows.apply(changes)
    for effect in changes.effects { apply(effect) }
  }

  private mutating func apply(_ effect: FleetEffect) {
    switch effect {
    case .blob: break
    case .requestsAdded(let rows):
      for row in rows {
        requests[row.number] = row
        requestsOfBatch[row.batch, default: []].append(row.number)
        if let queue = row.queue { requestsOfQueue[queue, default: []].append(row.number) }
      }
    case .requestsCut(let unit, let members):
      for member in members {
        requests[member.request]?.state = .inUnit
        requests[member.request]?.unit = unit
        requests[member.request]?.firstSequence = member.firstSequence
        requests[member.request]?.input = nil
      }
    case .requestsEnded(let ended, let time):
      for one in ended {
        requests[one.number]?.state = .ended(one.ending, at: time)
        requests[one.number]?.input = nil
      }
    case .requestsReopened(let numbers):
      for number in numbers { requests[number]?.state = .inUnit }
    case .openRequestsEnded(let batch, let ending, let time):
      for number in requestsOfBatch[batch] ?? [] {
        switch requests[number]?.state {
        case .waiting, .inUnit:
          requests[number]?.state = .ended(ending, at: time)
          requests[number]?.input = nil
        case .ended, nil: break
        }
      }
    case .requestsRemoved(let batch):
      for number in requestsOfBatch[batch] ?? [] {
        if let queue = requests.removeValue(forKey: number)?.queue { requestsOfQueue[queue] = nil }
      }
      requestsOfBatch[batch] = nil
    case .receipt(let row): receipts.append(row)
    case .contribution(let worker, let part):
      let key = WorkerDay(worker: worker, day: part.day)
      contributions[key] = contributions[key].map { $0.adding(part) } ?? part
    case .tuningEvent(let job, let event): events[job, default: []].append(event)
    case .blobsForgotten: break
    }
  }

  func requests(ofBatch number: Int64, afterLine: Int, limit: Int) -> [RequestRow] {
    let all = requestsOfBatch[number] ?? []
    return Array(after(afterLine, in: all).prefix(limit).compactMap { requests[$0] })
  }

  /// The part of `numbers`, which are in the order of lines, that comes after a line.
  private func after(_ line: Int, in numbers: [Int64]) -> ArraySlice<Int64> {
    var (low, high) = (0, numbers.count)
    while low < high {
      let middle = (low + high) / 2
      if requests[numbers[middle]]?.line ?? 0 <= line { low = middle + 1 } else { high = middle }
    }
    return numbers[low...]
  }

  func supply(_ lack: Lack, afterLine line: Int) -> Supply {
    var supply = Supply()
    switch lack {
    case .lease(let id): supply.units = [unitOfLease[id].flatMap { units[$0] }].compactMap(\.self)
    case .batch(let id):
      supply.batches = [batchNumbers[id].flatMap { batches[$0] }].compactMap(\.self)
    case .tuningJob(let id):
      supply.tuningJobs = tuningJobs.values.filter { $0.record.id == id }
    case .window(let queue):
      var bytes = 0
      var waiting: [WaitingRequest] = []
      for number in after(line, in: requestsOfQueue[queue] ?? []) {
        guard let row = requests[number], row.state == .waiting, let input = row.input else {
          continue
        }
        waiting.append(WaitingRequest(number: number, line: row.line, input: input))
        bytes += input.count
        if waiting.count >= RequestWindow.limit || bytes >= RequestWindow.byteLimit { break }
      }
      supply.window = (queue, line, waiting)
    case .acceptedUnits(let worker, let limit):
      var seen: Set<Int64> = []
      for number in (unitsOfWorker[worker] ?? []).reversed() where supply.units.count < limit {
        guard let row = units[number], seen.insert(number).inserted,
          row.unit.replicas.contains(where: { $0.worker == worker && $0.state == .accepted })
        else { continue }
        supply.units.append(row)
      }
    }
    return supply
  }

  /// - Throws: `StoreError.corrupt`.
  func outcome(of row: RequestRow) throws -> RequestOutcome {
    let ending: RequestOutcome.Ending
    switch row.state {
    case .ended(.completed, let time):
      guard let unit = row.unit.flatMap({ units[$0] }), let acceptance = unit.unit.state.acceptance,
        let time
      else { throw StoreError(.corrupt, "Request \(row.number) has no accepted unit.") }
      ending = .completed(
        CompletedRequest(
          unit: unit.digest, inputs: unit.specification.inputs, result: acceptance.result,
          firstSequence: row.firstSequence, sequenceCount: row.sequences,
          verification: acceptance.verification, replicas: acceptance.replicas, completedAt: time))
    case .ended(.failed(let failure), _): ending = .failed(failure)
    case .ended(.expired, _): ending = .expired
    case .ended(.cancelled, _): ending = .cancelled
    case .waiting, .inUnit: throw StoreError(.corrupt, "Request \(row.number) has not ended.")
    }
    return RequestOutcome(
      id: row.id, line: row.line, customID: row.customID, rendering: row.rendering, ending: ending)
  }
}
