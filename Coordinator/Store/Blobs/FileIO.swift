import CoordinatorCore
import Foundation

/// An operation on a file that failed.
package struct FileIOError: Error, Hashable, Sendable, CustomStringConvertible {
  package let operation: String
  package let path: String
  package let errno: Int32

  package var description: String { "\(operation) \(path): \(String(cString: strerror(errno)))" }
}

/// The few system calls that durable blobs need, with errors that name the file.
enum FileIO {
  static func failure(_ operation: String, _ path: String) -> FileIOError {
    FileIOError(operation: operation, path: path, errno: errno)
  }

  /// A new file that did not exist, readable by its owner only.
  static func create(_ path: String) throws -> Int32 {
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("create", path) }
    return descriptor
  }

  static func writeAll(_ descriptor: Int32, _ data: Data, _ path: String) throws {
    try data.withUnsafeBytes { buffer in
      var offset = 0
      while offset < buffer.count {
        let written = write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
        if written < 0 {
          if errno == EINTR { continue }
          throw failure("write", path)
        }
        offset += written
      }
    }
  }

  static func sync(_ descriptor: Int32, _ path: String) throws {
    guard fsync(descriptor) == 0 else { throw failure("fsync", path) }
  }

  /// Makes the names in a folder durable.
  static func syncFolder(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    try sync(descriptor, path)
  }

  static func move(_ source: String, to target: String) throws {
    guard rename(source, target) == 0 else { throw failure("rename", target) }
  }

  /// Makes a folder if it is missing.
  static func makeFolder(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("mkdir", path) }
  }

  /// Bytes of a regular file; nil when there is none.
  static func size(_ path: String) throws -> Int? {
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw failure("stat", path)
    }
    return Int(status.st_size)
  }

  /// Bytes of a file and when it was changed last; nil when there is none.
  static func status(_ path: String) throws -> (bytes: Int, changedAt: Timestamp)? {
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw failure("stat", path)
    }
    let time = status.st_mtim
    return (
      Int(status.st_size),
      Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    )
  }

  /// Marks a file as changed now; false when there is none.
  static func touch(_ path: String) throws -> Bool {
    guard utimensat(AT_FDCWD, path, nil, 0) == 0 else {
      if errno == ENOENT { return false }
      throw failure("utimensat", path)
    }
    return true
  }

  /// Reads `count` bytes from `offset`; throws when the file is shorter.
  static func read(_ path: String, offset: Int, count: Int) throws -> Data {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    return try read(descriptor, offset: offset, count: count, path)
  }

  static func read(_ descriptor: Int32, offset: Int, count: Int, _ path: String) throws -> Data {
    var data = Data(count: count)
    try data.withUnsafeMutableBytes { buffer in
      var done = 0
      while done < count {
        let got = pread(descriptor, buffer.baseAddress! + done, count - done, off_t(offset + done))
        if got < 0, errno == EINTR { continue }
        guard got > 0 else { throw failure("read", path) }
        done += got
      }
    }
    return data
  }

  /// Runs blocking work away from the threads of Swift's concurrency.
  static func blocking<Value: Sendable>(
    on queue: DispatchQueue, _ work: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: work)) }
    }
  }
}
