import Foundation
import Glibc
import WorkerCore

/// The owner's preferences in the worker's folder. They may be edited while a worker runs, which
/// takes them up within a second.
package struct PreferencesFile: Sendable {
  package let path: String

  package init(in folder: WorkerFolder) { path = folder.path + "/preferences.json" }

  /// Nil when there is no file.
  var version: FileVersion? { FileVersion(of: path) }

  /// Defaults where there is no file.
  ///
  /// - Throws: `FileError` that names the file and the setting.
  package func load() throws -> WorkerPreferences {
    guard let data = try bytes() else { return WorkerPreferences() }
    do {
      return try JSONDecoder().decode(WorkerPreferences.self, from: data)
    } catch let error as PreferenceError {
      throw FileError(doing: "reading", path: path, reason: "\(error)")
    } catch let DecodingError.typeMismatch(_, context) {
      let key = context.codingPath.map(\.stringValue).joined(separator: ".")
      throw FileError(doing: "reading", path: path, reason: "\(key): \(context.debugDescription)")
    } catch {
      throw FileError(doing: "reading", path: path, reason: "not a JSON object of settings")
    }
  }

  /// The file as it is; nil when there is none.
  ///
  /// - Throws: `FileError`.
  package func bytes() throws -> Data? { try DurableFile.read(path, limitBytes: 1 << 16) }

  /// Replaces the file by these bytes.
  ///
  /// - Throws: `FileError`.
  package func save(_ bytes: Data) throws { try DurableFile.write([bytes], to: path) }

  /// Replaces the file.
  ///
  /// - Throws: `FileError`.
  package func save(_ preferences: WorkerPreferences) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try DurableFile.write([encoder.encode(preferences), Data("\n".utf8)], to: path)
  }
}

/// What tells one version of a file from another, who may read it among that.
struct FileVersion: Hashable, Sendable {
  private var inode: UInt64
  private var seconds: Int
  private var nanoseconds: Int

  /// Nil when there is no file.
  init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    inode = UInt64(status.st_ino)
    // Of the last change of bytes, owner or mode.
    seconds = status.st_ctim.tv_sec
    nanoseconds = status.st_ctim.tv_nsec
  }
}
