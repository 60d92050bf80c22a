import Foundation
import Glibc

/// A file operation that the system refused, with the path and the system's reason.
package struct FileError: Error, Hashable, CustomStringConvertible {
  package var doing: String
  package var path: String
  package var reason: String

  package init(doing: String, path: String, reason: String) {
    self.doing = doing
    self.path = path
    self.reason = reason
  }

  /// Takes the reason from `errno`.
  init(doing: String, path: String) {
    self.init(doing: doing, path: path, reason: String(cString: strerror(errno)))
  }

  package var description: String { "\(doing) \(path): \(reason)" }
}

/// Files that survive a power cut whole or not at all.
enum DurableFile {
  /// Replaces `path` with `pieces` in one step: written beside it, synchronised, renamed, folder
  /// synchronised. What root writes belongs to the folder's owner: a service has to read what its
  /// machine's owner set with sudo.
  static func write(_ pieces: [Data], to path: String, mode: mode_t = 0o600) throws {
    let temporary = path + ".new"
    // Made anew: in another's folder a link may lie in wait for what root writes.
    unlink(temporary)
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    var file = open(temporary, flags, mode)
    if file < 0, errno == ENOENT {
      // Somebody cleared the folder away.
      try makeFolder((path as NSString).deletingLastPathComponent)
      file = open(temporary, flags, mode)
    }
    guard file >= 0 else { throw FileError(doing: "creating", path: temporary) }
    do {
      defer { close(file) }
      try handOver(file, path: temporary)
      for piece in pieces { try append(piece, to: file, path: temporary) }
      guard fsync(file) == 0 else { throw FileError(doing: "synchronising", path: temporary) }
    } catch {
      unlink(temporary)
      throw error
    }
    try move(temporary, to: path)
  }

  static func write(_ text: String, to path: String, mode: mode_t = 0o600) throws {
    try write([Data(text.utf8)], to: path, mode: mode)
  }

  /// Writes `data` at an offset of an existing file, which ends there afterwards, and makes that
  /// durable. A power cut leaves what was before the offset.
  static func write(_ data: Data, at offset: Int, of path: String) throws {
    let file = open(path, O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { throw FileError(doing: "opening", path: path) }
    defer { close(file) }
    guard ftruncate(file, offset) == 0, lseek(file, offset, SEEK_SET) == offset else {
      throw FileError(doing: "cutting", path: path)
    }
    try append(data, to: file, path: path)
    guard fsync(file) == 0 else { throw FileError(doing: "synchronising", path: path) }
  }

  /// Renames a synchronised file and makes that durable.
  static func move(_ from: String, to path: String) throws {
    guard rename(from, path) == 0 else { throw FileError(doing: "renaming to", path: path) }
    try synchronizeFolder(of: path)
  }

  /// Removes a file and makes that durable; a missing one is no error.
  static func remove(_ path: String) throws {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw FileError(doing: "removing", path: path)
    }
    try synchronizeFolder(of: path)
  }

  /// Makes the file's bytes durable.
  static func synchronize(_ path: String) throws {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw FileError(doing: "opening", path: path) }
    defer { close(file) }
    guard fsync(file) == 0 else { throw FileError(doing: "synchronising", path: path) }
  }

  /// The whole file, up to `limitBytes`; nil when there is none.
  static func read(_ path: String, limitBytes: Int = 1 << 20) throws -> Data? {
    guard let size = size(path) else { return nil }
    guard size <= limitBytes else {
      throw FileError(
        doing: "reading", path: path, reason: "\(size) bytes are more than \(limitBytes)")
    }
    do {
      return try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw FileError(doing: "reading", path: path, reason: "\(error.localizedDescription)")
    }
  }

  /// The file's size in bytes; nil when there is no file.
  static func size(_ path: String) -> Int? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }

  /// Makes a folder, with its parents, that only its owner can enter.
  static func makeFolder(_ path: String) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw FileError(doing: "creating", path: path, reason: "\(error.localizedDescription)")
    }
  }

  /// Gives a file that root made to the owner of its folder.
  private static func handOver(_ file: Int32, path: String) throws {
    guard geteuid() == 0 else { return }
    var folder = stat()
    guard stat((path as NSString).deletingLastPathComponent, &folder) == 0, folder.st_uid != 0
    else {
      return
    }
    guard fchown(file, folder.st_uid, folder.st_gid) == 0 else {
      throw FileError(doing: "giving its folder's owner", path: path)
    }
  }

  private static func append(_ data: Data, to file: Int32, path: String) throws {
    try data.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = Glibc.write(
          file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { throw FileError(doing: "writing", path: path) }
        rest = rest.dropFirst(count)
      }
    }
  }

  private static func synchronizeFolder(of path: String) throws {
    let folder = (path as NSString).deletingLastPathComponent
    let file = open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard file >= 0 else { throw FileError(doing: "opening", path: folder) }
    defer { close(file) }
    guard fsync(file) == 0 else { throw FileError(doing: "synchronising", path: folder) }
  }
}
