import Foundation

/// Where the program keeps what it can make or fetch again.
enum CacheFolder {
  /// The folder that `variable` names, or `tally/<name>` in the user's cache.
  static func url(
    _ name: String, variable: String,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> URL {
    if let folder = environment[variable], !folder.isEmpty { return URL(filePath: folder) }
    let base =
      environment["XDG_CACHE_HOME"].map { URL(filePath: $0) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".cache")
    return base.appending(path: "tally/\(name)")
  }
}
