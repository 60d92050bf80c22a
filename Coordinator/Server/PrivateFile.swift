import Foundation

/// A small file that only its owner reads; written whole or not at all.
struct PrivateFile {
  let url: URL

  init(_ url: URL) { self.url = url }

  var exists: Bool { FileManager.default.fileExists(atPath: url.path) }

  /// What is no UTF-8 comes as replacement characters: no text in PEM has any.
  func readText() throws -> String { String(decoding: try Data(contentsOf: url), as: UTF8.self) }

  /// Replaces the file: synced before it gets its name, its folder afterwards.
  func write(_ text: String) throws {
    let temporary = "\(url.path).\(UUID().uuidString)"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure(temporary) }
    do {
      defer { close(descriptor) }
      let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
      try handle.write(contentsOf: Data(text.utf8))
      guard fsync(descriptor) == 0 else { throw failure(temporary) }
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, url.path) == 0 else {
      unlink(temporary)
      throw failure(url.path)
    }
    let folder = open(url.deletingLastPathComponent().path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw failure(url.path) }
    defer { close(folder) }
    guard fsync(folder) == 0 else { throw failure(url.path) }
  }

  private func failure(_ path: String) -> ServerError {
    .file(path, reason: String(cString: strerror(errno)))
  }
}

/// An advisory lock on a file (`flock`), which ends with the process.
package final class FileLock: Sendable {
  package enum Failure: Error, CustomStringConvertible {
    case taken
    case unavailable(String)

    package var description: String {
      switch self {
      case .taken: "another process holds the lock"
      case .unavailable(let reason): reason
      }
    }
  }

  private let descriptor: Int32

  /// - Parameter waiting: whether to wait for another holder.
  package init(_ url: URL, waiting: Bool) throws {
    descriptor = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Failure.unavailable("cannot open \(url.path): \(String(cString: strerror(errno)))")
    }
    guard flock(descriptor, waiting ? LOCK_EX : LOCK_EX | LOCK_NB) == 0 else {
      let cause = errno
      close(descriptor)
      throw cause == EWOULDBLOCK
        ? Failure.taken
        : Failure.unavailable("cannot lock \(url.path): \(String(cString: strerror(cause)))")
    }
  }

  /// Lets another process take it.
  package func unlock() { flock(descriptor, LOCK_UN) }

  deinit { close(descriptor) }
}
