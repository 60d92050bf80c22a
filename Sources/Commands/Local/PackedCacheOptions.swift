import ArgumentParser
import Execution
import Foundation
import Models

/// Where packed weights are kept, so that a model's second start reads no weights.
struct PackedCacheOptions: ParsableArguments {
  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      "Keep the packed weights in a file for the next start, and compute from it.",
      discussion: """
        In TALLY_PACKED_CACHE, or ~/.cache/tally/packed. Changes memory and the time to start, \
        never the answer. The file takes as much disk as the weights; the least recently used ones \
        beyond 20 GiB are removed.
        """))
  var packedCache = true

  /// Where packed weights are kept; nil: nowhere.
  var folder: PackedModelFolder? {
    guard packedCache else { return nil }
    let folder = CacheFolder.url("packed", variable: "TALLY_PACKED_CACHE")
    return PackedModelFolder(path: folder.path)
  }

  /// The model at `path` with the adapter in a folder of PEFT's, if one is named.
  func load(_ path: String, adapter: String?, options: Model.LoadOptions = .init()) throws -> Model
  {
    let model = try load(path, options: options)
    guard let adapter else { return model }
    return try model.adapted(by: AdapterFolder(URL(fileURLWithPath: adapter)).adapter)
  }

  /// The model at `path`. Weights that are turned into float32 stay in memory: the file would be
  /// many times the model's.
  func load(_ path: String, options: Model.LoadOptions = .init()) throws -> Model {
    guard let folder, options.weights == .asStored else {
      let files = try ModelFiles(path: path)
      return try LocalMemory.now().load(files.description, from: files.source, options: options)
    }
    return try folder.load(path: path, options: options)
  }
}
