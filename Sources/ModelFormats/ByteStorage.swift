import Foundation

/// Immutable bytes: a file mapped into memory, an array, or data.
///
/// A mapping is private and read-only; its pages are read from disk when touched, and
/// `releasePages` gives them back, so that streaming through a file of any size needs little
/// resident memory. A file that another process truncates while it is mapped raises SIGBUS on
/// access, as with every mapping: model files must not be rewritten in place.
///
/// `@unchecked Sendable`: the bytes are never written after `init`, and the mapping lives until
/// `deinit`.
package final class ByteStorage: @unchecked Sendable {
  private enum Backing {
    case mapped(UnsafeRawBufferPointer)
    case array([UInt8])
    case data(Data)
  }

  private let backing: Backing

  /// Bytes in the storage.
  package var count: Int {
    switch backing {
    case .mapped(let buffer): buffer.count
    case .array(let bytes): bytes.count
    case .data(let data): data.count
    }
  }

  /// Holds an array.
  package init(_ bytes: [UInt8]) {
    backing = .array(bytes)
  }

  /// Holds data, which are not copied.
  package init(_ data: Data) {
    backing = .data(data)
  }

  /// Maps the regular file at `url`.
  ///
  /// - Throws: `FormatError` with code `unreadable`.
  package init(mapping url: URL) throws {
    let name = url.path
    // O_NONBLOCK: opening a FIFO must not hang.
    let descriptor = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw FormatError(.unreadable, file: name, reason: "cannot open: \(describeErrno())")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FormatError(.unreadable, file: name, reason: "cannot examine: \(describeErrno())")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FormatError(.unreadable, file: name, reason: "is not a regular file")
    }
    guard status.st_size > 0 else {
      backing = .array([])
      return
    }
    let size = Int(status.st_size)
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0),
      address != MAP_FAILED
    else {
      throw FormatError(.unreadable, file: name, reason: "cannot map: \(describeErrno())")
    }
    backing = .mapped(UnsafeRawBufferPointer(start: address, count: size))
  }

  deinit {
    if case .mapped(let buffer) = backing, let address = buffer.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: address), buffer.count)
    }
  }

  /// Calls `body` with the bytes of `range`, which the caller has checked against `count`.
  package func withUnsafeBytes<R>(
    _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> R
  ) rethrows -> R {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside the storage")
    switch backing {
    case .mapped(let buffer):
      return try body(UnsafeRawBufferPointer(rebasing: buffer[range]))
    case .array(let bytes):
      return try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    case .data(let data):
      return try data.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
  }

  /// Calls `body` with all bytes.
  package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try withUnsafeBytes(0..<count, body)
  }

  /// The mapping, for bytes that are used in place; nil when an array or data hold them. Valid as
  /// long as the storage lives.
  package var mapping: UnsafeRawBufferPointer? {
    guard case .mapped(let buffer) = backing else { return nil }
    return buffer
  }

  /// Copies the bytes of `range`, which the caller has checked against `count`.
  package func bytes(_ range: Range<Int>) -> [UInt8] {
    withUnsafeBytes(range) { [UInt8]($0) }
  }

  /// Tells the kernel that the whole pages inside `range` are not needed for now; a later access
  /// reads them again.
  package func releasePages(_ range: Range<Int>) {
    guard case .mapped(let buffer) = backing, let address = buffer.baseAddress else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let lower = (range.lowerBound + page - 1) / page * page
    // The last page of the file may be cut short; it counts as whole.
    let upper = range.upperBound == buffer.count ? buffer.count : range.upperBound / page * page
    guard lower < upper else { return }
    madvise(UnsafeMutableRawPointer(mutating: address + lower), upper - lower, MADV_DONTNEED)
  }
}

/// The text of the current `errno`.
func describeErrno() -> String {
  String(cString: strerror(errno))
}
