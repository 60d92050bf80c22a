import AsyncHTTPClient
import BoundedWork
import Foundation
import Glibc
import NIOCore
import NIOHTTP1
import WirePayloads
import WireProtocol
import WorkerCore

/// Brings one blob from the coordinator to a file: parallel ranges, resumed where an earlier
/// attempt stopped, hashed before anyone sees it.
///
/// Segment k of a blob of n bytes grows in `parts/<digest>.<n>.<k>`, so a part says what it is a
/// part of.
struct BlobDownload: Sendable {
  let client: CoordinatorClient
  let traffic: TrafficMeter
  let digest: Digest
  /// The folder of unfinished segments.
  let partsFolder: String
  /// Where the checked blob goes.
  let destination: String
  /// The threads that hash the blob.
  let hashing: HeavyWork
  /// Bytes of a segment.
  var segmentBytes = 8 << 20
  /// Segments fetched at one time.
  static let parallelSegments = 4
  /// Downloads from scratch before wrong bytes are taken as the coordinator's last word.
  var attempts = 3

  /// Fetches the blob; returns its size. `reserve` is told the size before the first byte is
  /// written and throws when there is no room.
  func run(
    expectedBytes: Int?, reserve: @Sendable (Int) async throws(FetchFailure) -> Void
  ) async throws(FetchFailure) -> Int {
    for attempt in 1...attempts {
      let known = expectedBytes ?? sizeInParts()
      let size: Int
      if let known {
        size = known
        try await reserve(size)
      } else {
        size = try await fetchFirst(reserve)
      }
      do {
        try await fetchMissing(of: size)
        if try await hashing.run({ try assemble(size) }) { return size }
      } catch let failure as FetchFailure {
        throw failure
      } catch is WrongAnswer {
        // Falls through to a fresh start.
      } catch {
        throw .permanent(.failed, detail: "\(error)")
      }
      removeParts()
      if attempt == attempts { break }
    }
    throw .permanent(
      .blobUnavailable, detail: "blob \(digest): the coordinator sent wrong bytes \(attempts) times"
    )
  }

  /// The coordinator's answer contradicts the blob's size or range.
  private struct WrongAnswer: Error {}

  // MARK: Segments

  private func partPath(_ index: Int, size: Int) -> String {
    "\(partsFolder)/\(digest.hex).\(size).\(index)"
  }

  private func partNames() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: partsFolder)) ?? []
    return names.filter { $0.hasPrefix(digest.hex + ".") }
  }

  private func sizeInParts() -> Int? {
    for name in partNames() {
      let words = name.split(separator: ".")
      if words.count == 3, let size = Int(words[1]), (0..<1 << 62).contains(size) { return size }
    }
    return nil
  }

  /// Drops everything that was fetched of the blob.
  func removeParts() {
    for name in partNames() { unlink("\(partsFolder)/\(name)") }
  }

  /// Fetches the first segment of a blob whose size nobody told; returns the size.
  private func fetchFirst(
    _ reserve: @Sendable (Int) async throws(FetchFailure) -> Void
  ) async throws(FetchFailure) -> Int {
    let response = try await open(0..<segmentBytes)
    let size: Int
    switch response.status {
    case .partialContent:
      guard let header = response.headers.first(name: "content-range"),
        let range = ContentRange(header), range.range?.lowerBound == 0
      else { throw .permanent(.blobUnavailable, detail: "blob \(digest): no Content-Range") }
      size = range.totalBytes
    case .ok:
      guard let length = response.headers.first(name: "content-length").flatMap(Int.init),
        (0...segmentBytes).contains(length), !Self.isCoded(response)
      else { throw .permanent(.blobUnavailable, detail: "blob \(digest): ranges are ignored") }
      size = length
    case .rangeNotSatisfiable: size = 0
    default: throw .request(await CoordinatorClient.failure(of: response)).orUnavailable(digest)
    }
    try await reserve(size)
    let plan = DownloadPlan(sizeBytes: size, segmentBytes: segmentBytes) { _ in 0 }
    if let first = plan.segments.first {
      try await receive(response, into: first, size: size)
    }
    return size
  }

  private func fetchMissing(of size: Int) async throws {
    let plan = DownloadPlan(sizeBytes: size, segmentBytes: segmentBytes) { index in
      DurableFile.size(partPath(index, size: size)) ?? 0
    }
    // A segment whose connection breaks does not take the others' down: what they fetch is kept.
    let fetched = await Parallel.map(
      plan.incomplete, limit: traffic.parallel(Self.parallelSegments)
    ) { segment in
      try await fetch(segment, size: size)
    }
    if let error = fetched.error { throw error }
  }

  private func fetch(_ segment: DownloadPlan.Segment, size: Int) async throws {
    let response = try await open(segment.missing)
    switch response.status {
    case .partialContent:
      guard let header = response.headers.first(name: "content-range"),
        ContentRange(header)?.range == segment.missing, ContentRange(header)?.totalBytes == size
      else { throw WrongAnswer() }
    case .ok where segment.missing.lowerBound == 0 && segment.missing.count == size: break
    case .ok, .rangeNotSatisfiable: throw WrongAnswer()
    default:
      throw FetchFailure.request(await CoordinatorClient.failure(of: response))
        .orUnavailable(digest)
    }
    try await receive(response, into: segment, size: size)
  }

  private func open(_ range: Range<Int>) async throws(FetchFailure) -> HTTPClientResponse {
    var request = client.request(.GET, WorkerRoute.blob(digest))
    request.headers.add(
      name: "range", value: "bytes=\(range.lowerBound)-\(range.upperBound - 1)")
    request.headers.add(name: BlobCoding.header, value: BlobCoding.planes)
    do {
      try traffic.admit(1)
      return try await client.open(request, timeout: .hours(1))
    } catch {
      throw .request(error)
    }
  }

  /// Whether the answer's bytes are as `BlobCoding` says; an older coordinator's are not.
  private static func isCoded(_ response: HTTPClientResponse) -> Bool {
    response.headers.first(name: BlobCoding.header) == BlobCoding.planes
  }

  /// Appends the answer's bytes to the segment's file; what arrived before a break stays.
  private func receive(
    _ response: HTTPClientResponse, into segment: DownloadPlan.Segment, size: Int
  ) async throws(FetchFailure) {
    let path = partPath(segment.index, size: size)
    do {
      // The cache is its owner's to clear while the worker runs.
      try DurableFile.makeFolder(partsFolder)
    } catch {
      throw .permanent(.failed, detail: "\(error)")
    }
    guard let file = fopen(path, segment.haveBytes == 0 ? "wb" : "ab") else {
      throw .permanent(.failed, detail: "\(FileError(doing: "opening", path: path))")
    }
    defer { fclose(file) }
    var room = segment.missing.count
    var decoder = Self.isCoded(response) ? BlobCoding.Decoder() : nil
    do {
      for try await buffer in response.body {
        let bytes = try decoder?.take(buffer.readableBytesView) ?? Data(buffer.readableBytesView)
        // More than was asked for is not read: the hash decides over what was.
        let taken = bytes.prefix(room)
        let written = taken.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
        guard written == taken.count else {
          throw FetchFailure.permanent(
            .failed, detail: "\(FileError(doing: "writing", path: path))")
        }
        room -= written
        try await traffic.pass(buffer.readableBytes, .down)
        if room == 0 { break }
      }
    } catch let failure as FetchFailure {
      throw failure
    } catch {
      throw .request(await client.failure(error))
    }
    guard room == 0 else {
      throw .request(.unreachable(detail: "the answer ended \(room) bytes early"))
    }
  }

  // MARK: The whole

  /// Joins the segments, hashes them and puts the blob where it belongs; false when its bytes are
  /// wrong.
  private func assemble(_ size: Int) throws -> Bool {
    let plan = DownloadPlan(sizeBytes: size, segmentBytes: segmentBytes) { _ in 0 }
    let whole = "\(partsFolder)/\(digest.hex).whole"
    var hasher = BlobHasher()
    if plan.segments.count == 1 {
      let part = partPath(0, size: size)
      try BlobFile.read(part) { hasher.update($0) }
      guard hasher.finalize() == digest else { return false }
      try DurableFile.synchronize(part)
      try DurableFile.move(part, to: destination)
      return true
    }
    try Data().write(to: URL(fileURLWithPath: whole))
    let output = try FileHandle(forWritingTo: URL(fileURLWithPath: whole))
    defer {
      try? output.close()
      unlink(whole)
    }
    for segment in plan.segments {
      try BlobFile.read(partPath(segment.index, size: size)) { bytes in
        hasher.update(bytes)
        try output.write(contentsOf: Data(bytes))
      }
    }
    guard hasher.finalize() == digest else { return false }
    try output.synchronize()
    try DurableFile.move(whole, to: destination)
    removeParts()
    return true
  }
}

/// Reading blobs from disk.
enum BlobFile {
  /// Calls `body` with the file's bytes, a mebibyte at a time.
  static func read(_ path: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    guard let file = fopen(path, "rb") else { throw FileError(doing: "opening", path: path) }
    defer { fclose(file) }
    try withUnsafeTemporaryAllocation(byteCount: 1 << 20, alignment: 16) { buffer in
      while true {
        let count = fread(buffer.baseAddress, 1, buffer.count, file)
        guard ferror(file) == 0 else { throw FileError(doing: "reading", path: path) }
        if count == 0 { return }
        try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
    }
  }

  /// The SHA-256 of a file's bytes.
  static func digest(_ path: String) throws -> Digest {
    var hasher = BlobHasher()
    try read(path) { hasher.update($0) }
    return hasher.finalize()
  }
}

extension FetchFailure {
  /// A coordinator that refuses the blob for good ends the attempts.
  fileprivate func orUnavailable(_ digest: Digest) -> FetchFailure {
    guard case .request(.refused(let status, _, let message)) = self else { return self }
    return .permanent(.blobUnavailable, detail: "blob \(digest): \(status) \(message)")
  }
}
