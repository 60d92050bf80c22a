import Foundation

extension WorkerDaemon {
  /// Who a folder's worker is; nil when it has not joined.
  ///
  /// - Throws: `FileError` for a folder that is none of a worker.
  package static func membership(in path: String) throws -> Membership? {
    guard FileManager.default.fileExists(atPath: path + "/key.pem") else {
      throw FileError(doing: "opening", path: path, reason: "there is no worker")
    }
    return try Membership(in: WorkerFolder(path))
  }

  /// Whether a worker runs in a folder.
  package static func runs(in path: String) -> Bool {
    guard let folder = try? WorkerFolder(path) else { return false }
    return (try? folder.lock()) == nil
  }

  /// Removes a worker's folder with everything in it; returns the bytes that were freed.
  ///
  /// - Parameter evenUndelivered: whether results that nobody has yet may go too.
  /// - Throws: `FileError` while a worker runs there, for undelivered results, and for what cannot
  ///   be removed.
  package static func remove(_ path: String, evenUndelivered: Bool) throws -> Int {
    let folder = try WorkerFolder(path)
    let lock = try folder.lock()
    defer { withExtendedLifetime(lock) {} }
    let results = try ResultStore(folder: folder.results).list()
    guard evenUndelivered || results.isEmpty else {
      throw FileError(
        doing: "leaving", path: path,
        reason: "\(results.count) results are not delivered yet: let the worker run, or say --now")
    }
    let bytes = size(path)
    do {
      // The folder itself may be a service's, which the system made and removes.
      for name in try FileManager.default.contentsOfDirectory(atPath: path) {
        try FileManager.default.removeItem(atPath: "\(path)/\(name)")
      }
    } catch {
      throw FileError(doing: "removing", path: path, reason: "\(error.localizedDescription)")
    }
    return bytes
  }

  private static func size(_ path: String) -> Int {
    // A service's folder is behind a link, at which listing would stop.
    let path = URL(filePath: path).resolvingSymlinksInPath().path
    let names = FileManager.default.enumerator(atPath: path)?.allObjects ?? []
    return names.reduce(0) { total, name in
      total + ((name as? String).flatMap { DurableFile.size("\(path)/\($0)") } ?? 0)
    }
  }
}
