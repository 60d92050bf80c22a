import CoordinatorCore
import CoordinatorStore
import Foundation
import Logging
import WirePayloads
import WireProtocol

/// Writes one batch's output and error files, line by line, and ends the batch.
///
/// The files follow from what is stored, so that a finalisation that was killed starts over.
package struct BatchFinalisation {
  private let environment: APIEnvironment
  private let batch: BatchRecord

  private static let pageLines = 200

  package init(environment: APIEnvironment, batch: BatchRecord) {
    self.environment = environment
    self.batch = batch
  }

  /// - Throws: what store and blobs throw; the batch still waits for its files then.
  package func run() async throws {
    try await environment.heavy.run { try await writeFiles() }
  }

  private func writeFiles() async throws {
    let output = OutputFile(blobs: environment.blobs)
    let errors = OutputFile(blobs: environment.blobs)
    do {
      try await write(output, errors)
      let outputFile = try await output.finish().map { file("output", $0) }
      let errorFile = try await errors.finish().map { file("error", $0) }
      _ = try await environment.store.finishBatch(
        batch.id, output: outputFile, errors: errorFile, now: environment.now())
    } catch {
      await output.cancel()
      await errors.cancel()
      throw error
    }
  }

  private func write(_ output: OutputFile, _ errors: OutputFile) async throws {
    let endpoint = GenerationEndpoint(rawValue: batch.endpoint) ?? .chatCompletions
    let writer = AnswerWriter(endpoint: endpoint)
    var units = UnitCache(blobs: environment.blobs)
    var line = 0
    while true {
      try Task.checkCancellation()
      let page = try await environment.store.outcomes(
        of: batch.id, afterLine: line, limit: Self.pageLines)
      guard let last = page.last else { return }
      line = last.line
      for outcome in page {
        if let text = try writer.errorLine(outcome) {
          try await errors.write(text)
        } else if case .completed(let completed) = outcome.ending {
          let rendering = try CanonicalJSON.decode(AnswerRendering.self, from: outcome.rendering)
          let unit = try await units.unit(completed)
          let tokenizer = try await environment.catalog.tokenizer(rendering.tokenizer)
          try await writer.write(
            outcome, completed: completed, rendering: rendering, unit: unit, decoder: tokenizer,
            emit: output.write)
        }
      }
    }
  }

  private func file(_ kind: String, _ blob: (digest: Digest, bytes: Int)) -> NewFile {
    NewFile(
      keyID: batch.keyID, purpose: .batchOutput, filename: "\(batch.id)_\(kind).jsonl",
      bytes: blob.bytes, blob: blob.digest,
      expiresAt: batch.outputExpiresAfterSeconds.map { batch.times.created.adding(seconds: $0) })
  }
}

/// A file that exists once something is written to it.
private final class OutputFile {
  private let blobs: any BlobStore
  private var writer: (any BlobWriter)?
  private var buffer = Data()

  private static let bufferBytes = 1 << 18

  init(blobs: any BlobStore) { self.blobs = blobs }

  func write(_ line: Data) async throws {
    buffer.append(line)
    if buffer.count >= Self.bufferBytes { try await flush() }
  }

  private func flush() async throws {
    guard !buffer.isEmpty else { return }
    let writer: any BlobWriter
    if let open = self.writer {
      writer = open
    } else {
      writer = try await blobs.makeWriter()
      self.writer = writer
    }
    try await writer.write(buffer)
    buffer = Data()
  }

  /// Nil when nothing was written.
  func finish() async throws -> (digest: Digest, bytes: Int)? {
    try await flush()
    defer { writer = nil }
    return try await writer?.finish()
  }

  func cancel() async {
    await writer?.cancel()
    writer = nil
  }
}

/// A unit whose result stays where it is: sequences are read one by one.
package struct AnsweredUnit: Sendable {
  let inputs: GenerateInputs
  let result: GenerateResultIndex
  private let blobs: any BlobStore
  private let digest: Digest

  /// - Throws: `FormatError` and `PayloadError` for blobs that do not fit together; what blobs
  ///   throw.
  package init(_ completed: CompletedRequest, blobs: any BlobStore) async throws {
    inputs = try GenerateInputs(decoding: try await blobs.read(completed.inputs))
    digest = completed.result
    self.blobs = blobs
    guard let bytes = try await blobs.size(of: completed.result) else {
      throw StoreError(.corrupt, "The result \(completed.result) is missing.")
    }
    result = try await GenerateResultIndex(bytes: bytes, for: inputs.outline) { range in
      try await blobs.read(completed.result, range: range)
    }
  }

  func sequence(_ index: Int) async throws -> GenerateResult.Sequence {
    try await result.sequence(index) { try await blobs.read(digest, range: $0) }
  }
}

/// The units that recent lines were part of: neighbouring lines mostly share one.
private struct UnitCache {
  private let blobs: any BlobStore
  private var recent: [(key: Digest, bytes: Int, unit: AnsweredUnit)] = []

  private static let capacity = 4
  /// Of the inputs of all but the last.
  private static let limitBytes = 32 << 20

  init(blobs: any BlobStore) { self.blobs = blobs }

  mutating func unit(_ completed: CompletedRequest) async throws -> AnsweredUnit {
    if let index = recent.firstIndex(where: { $0.key == completed.unit }) {
      let entry = recent.remove(at: index)
      recent.append(entry)
      return entry.unit
    }
    let bytes = try await blobs.size(of: completed.inputs) ?? 0
    while !recent.isEmpty,
      recent.count >= Self.capacity
        || recent.reduce(bytes, { $0 + $1.bytes }) > Self.limitBytes
    {
      recent.removeFirst()
    }
    let unit = try await AnsweredUnit(completed, blobs: blobs)
    recent.append((completed.unit, bytes, unit))
    return unit
  }
}
