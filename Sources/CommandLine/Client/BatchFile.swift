import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats

/// A file of requests on this machine, looked at before it is sent. Lines are read as the
/// coordinator reads them.
struct BatchFile {
  let path: String

  /// What a look at every line found.
  struct Check {
    var requests = 0
    /// One for each line that is not a valid request, in order.
    var errors: [BatchError] = []

    var good: Int { requests - errors.count }

    /// `line 17: ...`, for a line each.
    var sentences: [String] {
      errors.map { error in (error.line.map { "line \($0): " } ?? "") + error.message }
    }
  }

  /// The endpoint of all requests.
  ///
  /// - Parameter skipsBadLines: whether it is the one of the first line that names any, whatever
  ///   stands before; else the first request has to name it.
  /// - Throws: `CommandError` for a file that holds no request, or JSON of another form.
  func endpoint(skipsBadLines: Bool) async throws -> String {
    skipsBadLines ? try await firstNamedEndpoint() : try await endpointOfFirstRequest()
  }

  private func endpointOfFirstRequest() async throws -> String {
    var reader = try makeReader()
    var form = JSONLinesForm()
    var first: (number: Int, bytes: [UInt8])?
    var number = 0
    // The second line shows whether the first one holds a whole request.
    while let line = try await reader.next() {
      number += 1
      if line.isBlank { continue }
      guard case .bytes(let bytes) = line else {
        throw CommandError("\(path): line \(number) has more than \(Self.limits.lineBytes) bytes")
      }
      if form.isBroken(by: bytes) { throw CommandError("\(path): \(JSONLinesForm.message)") }
      if first != nil { break }
      first = (number, bytes)
    }
    guard let first else { throw emptyFile }
    guard let endpoint = url(of: first.bytes) else {
      throw CommandError(
        "\(path): line \(first.number) is not a batch request with a \"url\" (`tally submit "
          + "--help` shows one)")
    }
    return endpoint
  }

  /// Of the first line with an endpoint that coordinators serve, or else of the first with any url.
  private func firstNamedEndpoint() async throws -> String {
    var reader = try makeReader()
    var form = JSONLinesForm()
    var isOtherForm = false
    var first: String?
    var lines = 0
    while let line = try await reader.next() {
      if line.isBlank { continue }
      lines += 1
      guard case .bytes(let bytes) = line else { continue }
      if form.isBroken(by: bytes) { isOtherForm = true }
      guard let url = url(of: bytes) else { continue }
      if GenerationEndpoint(rawValue: url) != nil { return url }
      first = first ?? url
    }
    guard lines > 0 else { throw emptyFile }
    if let first { return first }
    throw CommandError(
      isOtherForm
        ? "\(path): \(JSONLinesForm.message)"
        : "\(path): no line is a batch request with a \"url\" (`tally submit --help` shows one)")
  }

  private func url(of line: [UInt8]) -> String? {
    let value = try? JSONReader.parse(
      line, file: path, rules: .strict.limited(depth: 32).takingHugeNumbers())
    return value?["url"]?.stringValue
  }

  private var emptyFile: CommandError {
    CommandError(
      "\(path) is empty: a batch has at least one request, each on a line (`tally submit --help` "
        + "shows one)")
  }

  /// Validates every line as the coordinator will.
  ///
  /// - Parameters:
  ///   - models: that may be asked for.
  ///   - take: called with each valid request.
  /// - Throws: `CommandError` for an endpoint that no coordinator serves, and for too many
  ///   requests.
  func check(
    endpoint: String, models: [String], _ take: (BatchLine) -> Void = { _ in }
  ) async throws -> Check {
    guard let served = GenerationEndpoint(rawValue: endpoint) else {
      let names = GenerationEndpoint.allCases.map(\.rawValue).joined(separator: " or ")
      throw CommandError("\(path): the url \(quoted(endpoint)) is not \(names)")
    }
    let known = Set(models.map(ExactString.init))
    var validator = BatchLineValidator(endpoint: served) { known.contains(ExactString($0)) }
    var reader = try makeReader()
    var check = Check()
    var number = 0
    while let line = try await reader.next() {
      number += 1
      if line.isBlank { continue }
      check.requests += 1
      guard check.requests <= Self.limits.batchLines else {
        throw CommandError("\(path) has more than \(Self.limits.batchLines) requests")
      }
      do {
        guard case .bytes(let bytes) = line else {
          throw BatchError(
            code: "line_too_long", line: number,
            message: "A line has at most \(Self.limits.lineBytes) bytes.")
        }
        take(try validator.validate(bytes, number: number))
      } catch let error as BatchError {
        check.errors.append(error)
      }
    }
    return check
  }

  private static let limits = APILimits()

  private func makeReader() throws -> CoordinatorAPI.LineReader {
    let handle = try FileHandle(forReadingFrom: URL(filePath: path))
    return CoordinatorAPI.LineReader(maximumLineBytes: Self.limits.lineBytes) { offset, count in
      try handle.seek(toOffset: UInt64(offset))
      return try handle.read(upToCount: count)
    }
  }
}
