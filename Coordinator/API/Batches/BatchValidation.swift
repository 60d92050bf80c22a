import CoordinatorCore
import CoordinatorStore
import Foundation
import Logging
import ModelFormats

/// Reads one batch's file line by line, validates every line and hands the requests to the store in
/// slices.
///
/// Nothing runs before the last line was read, and appending a line twice changes nothing, so that
/// a validation that was killed starts over.
///
/// A line that is not a valid request fails the batch; where the batch's metadata ask for that, it
/// fails alone, as long as another line is good: then JSON of another form, such as a list around
/// the requests, is bad lines as well.
package struct BatchValidation {
  private let environment: APIEnvironment
  private let batch: BatchRecord
  private let logger: Logger

  /// A slice ends at `StoreLimit.suggestedSlice` lines or at this many prompt tokens.
  private static let sliceTokens = 500_000

  package init(environment: APIEnvironment, batch: BatchRecord, logger: Logger) {
    self.environment = environment
    self.batch = batch
    self.logger = logger
  }

  /// Validates the batch and records the outcome.
  ///
  /// - Throws: what store and blobs throw, `CancellationError`; the batch is still `validating`
  ///   then. A batch that was
  ///   cancelled meanwhile is left alone.
  package func run() async throws {
    do {
      try await environment.validation.run { try await validate() }
    } catch let error as StoreError where error.code == .conflict {
      logger.info("batch ended during its validation", metadata: ["batch": "\(batch.id)"])
    }
  }

  private func validate() async throws {
    guard let endpoint = GenerationEndpoint(rawValue: batch.endpoint) else {
      try await fail([error("invalid_endpoint", "The endpoint \(batch.endpoint) is not served.")])
      return
    }
    let names = Set(
      try await environment.store.models(visibleTo: batch.keyID).map { ExactString($0.id) })
    var validator = BatchLineValidator(endpoint: endpoint) { names.contains(ExactString($0)) }
    var reader = try await makeReader()
    var slice = Slice()
    var chunk = Chunk()
    var planner: RequestPlanner?
    var errors: [BatchError] = []
    let skipsBadLines = WorkChoiceFields.skipsBadLines(batch.metadata)
    var form = JSONLinesForm()
    var otherForm: BatchError?
    var number = 0
    var requests = 0
    /// Takes a bad line; true: there are errors enough.
    func isOver(_ error: BatchError, _ line: LineReader.Line) -> Bool {
      if skipsBadLines { chunk.items.append(.planned(failed(error, line, number: number))) }
      if errors.count < StoreLimit.storedErrors { errors.append(error) }
      return !skipsBadLines && errors.count >= StoreLimit.storedErrors
    }
    while let line = try await reader.next() {
      try Task.checkCancellation()
      if chunk.isFull { try await plan(&chunk, by: planner, into: &slice) }
      number += 1
      if line.isBlank { continue }
      requests += 1
      guard requests <= environment.limits.batchLines else {
        return try await fail([
          error(
            "too_many_requests",
            "The file has more than \(environment.limits.batchLines) requests.", number)
        ])
      }
      guard case .bytes(let bytes) = line else {
        let long = error(
          "line_too_long", "A line has at most \(environment.limits.lineBytes) bytes.", number)
        if isOver(long, line) { break }
        continue
      }
      if form.isBroken(by: bytes) {
        let other = error("invalid_json_line", JSONLinesForm.message, number)
        guard skipsBadLines else { return try await fail([other]) }
        otherForm = other
      }
      do {
        let parsed = try validator.validate(bytes, number: number)
        guard errors.isEmpty || skipsBadLines else { continue }
        if planner == nil { planner = try await makePlanner(model: parsed.request.model) }
        chunk.items.append(.read(parsed, number: number))
        chunk.bytes += bytes.count
      } catch let error as BatchError {
        if isOver(error, line) { break }
      }
    }
    if requests == 0, errors.isEmpty {
      errors = [
        error("empty_file", "The input file is empty: it must contain at least one request.")
      ]
    }
    guard errors.isEmpty || skipsBadLines && planner != nil else {
      return try await fail(otherForm.map { [$0] } ?? errors)
    }
    try await plan(&chunk, by: planner, into: &slice)
    try await flush(&slice)
    _ = try await environment.store.finishValidation(
      batch.id, model: validator.model, now: environment.now())
    environment.wakeups.finalisation.signal()
  }

  /// The request of a line that is not valid.
  private func failed(
    _ error: BatchError, _ line: LineReader.Line, number: Int
  ) -> NewRequest {
    var customID: String?
    if case .bytes(let bytes) = line { customID = BatchLineValidator.customID(of: bytes) }
    return NewRequest(
      line: number, customID: customID ?? "line \(number)", rendering: Data("{}".utf8),
      content: .failed(
        RequestFailure(
          statusCode: 400, code: error.code, message: "Line \(number): \(error.message)",
          param: error.param)))
  }

  /// Lines in their order that are rendered and tokenized together.
  private struct Chunk {
    enum Item {
      case read(BatchLine, number: Int)
      case planned(NewRequest)

      func plan(by planner: RequestPlanner) throws -> NewRequest {
        switch self {
        case .read(let line, let number): try planner.plan(line, number: number)
        case .planned(let request): request
        }
      }
    }

    var items: [Item] = []
    /// Of the lines that were read.
    var bytes = 0

    /// Others wait for the thread no longer than a chunk takes.
    var isFull: Bool { items.count >= 32 || bytes >= 1 << 20 }
  }

  /// Plans a chunk on two threads, since that takes most of the time, and stores full slices.
  private func plan(
    _ chunk: inout Chunk, by planner: RequestPlanner?, into slice: inout Slice
  ) async throws {
    let items = chunk.items
    chunk = Chunk()
    var requests: [NewRequest] = []
    if let planner {
      let middle = items.count / 2
      async let first = items[..<middle].map { try $0.plan(by: planner) }
      let second = try items[middle...].map { try $0.plan(by: planner) }
      requests = try await first + second
    } else {
      for case .planned(let request) in items { requests.append(request) }
    }
    for request in requests { slice.append(request) }
    if slice.isFull { try await flush(&slice) }
  }

  /// Lines that are ready for the store.
  private struct Slice {
    var requests: [NewRequest] = []
    private var tokens = 0

    mutating func append(_ request: NewRequest) {
      requests.append(request)
      if case .run(let work) = request.content {
        tokens += work.sequences.reduce(0) { $0 + $1.promptTokens.count }
      }
    }

    var isFull: Bool {
      requests.count >= StoreLimit.suggestedSlice || tokens >= BatchValidation.sliceTokens
    }
  }

  private func flush(_ slice: inout Slice) async throws {
    guard !slice.requests.isEmpty else { return }
    try await environment.store.appendRequests(slice.requests, to: batch.id)
    slice = Slice()
  }

  private func makePlanner(model name: String) async throws -> RequestPlanner {
    guard
      let served = try await environment.catalog.model(name, date: batch.times.created)
    else {
      throw BatchError(
        code: "model_not_found", line: nil, message: "The model '\(name)' was removed.",
        param: "body.model")
    }
    return RequestPlanner(
      batch: batch.id, model: served.record, encoder: served,
      defaultChatTokens: environment.limits.defaultChatTokens)
  }

  private func makeReader() async throws -> LineReader {
    let digest = batch.inputBlob
    guard let reader = try await environment.lineReader(of: digest) else {
      throw StoreError(.corrupt, "The input blob \(digest) of batch \(batch.id) is missing.")
    }
    return reader
  }

  private func fail(_ errors: [BatchError]) async throws {
    _ = try await environment.store.failValidation(
      batch.id, errors: errors, now: environment.now())
  }

  private func error(_ code: String, _ message: String, _ line: Int? = nil) -> BatchError {
    BatchError(code: code, line: line, message: message)
  }
}
