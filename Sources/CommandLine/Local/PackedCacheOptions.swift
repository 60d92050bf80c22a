import ArgumentParser
import Foundation
import Models

/// Where packed weights are kept, so that a model's second start reads no weights.
struct PackedCacheOptions: ParsableArguments {
  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      "Keep the packed weights in a file for the next start, and compute from it.",
      discussion: """
        In TALLY_PACKED_CACHE, or ~/.cache/tally/packed. Changes memory and the time to start, never the answer. The \
        file takes as much disk as the weights; the least recently used ones beyond 20 GiB are removed.
        """))
  var packedCache = true

  /// The model at `path`. Weights that are turned into float32 stay in memory: the file would be
  /// many times the model's.
  func load(_ path: String, options: Model.LoadOptions = .init()) throws -> Model {
    guard packedCache, options.weights == .asStored else { return try Model(path: path, options: options) }
    return try PackedModelFolder(path: Self.folder()).load(path: path, options: options)
  }

  private static func folder(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> String {
    if let folder = environment["TALLY_PACKED_CACHE"], !folder.isEmpty { return folder }
    let base =
      environment["XDG_CACHE_HOME"].map { URL(filePath: $0) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".cache")
    return base.appending(path: "tally/packed").path
  }
}
