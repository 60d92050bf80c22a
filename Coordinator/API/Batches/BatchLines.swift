import CoordinatorCore
import CoordinatorStore
import WireProtocol

extension APIEnvironment {
  /// The lines of a batch's input, read as they are asked for; nil when the blob is missing.
  func lineReader(of blob: Digest) async throws -> LineReader? {
    guard let size = try await blobs.size(of: blob) else { return nil }
    return LineReader(maximumLineBytes: limits.lineBytes) { [blobs] offset, count in
      let end = min(offset + count, size)
      return offset < end ? try await blobs.read(blob, range: offset..<end) : nil
    }
  }
}

extension LineReader.Line {
  /// Whether there is nothing but spaces, tabs and carriage returns, which is no request.
  package var isBlank: Bool {
    switch self {
    case .bytes(let bytes): bytes.allSatisfy { [0x20, 0x09, 0x0D].contains($0) }
    case .tooLong: false
    }
  }
}
