import CoordinatorCore
import CoordinatorStore
import Execution
import Foundation
import ModelFormats
import Models
import WirePayloads
import WireProtocol

/// A tuned model's adapter in the formats of others.
struct AdapterFiles {
  let environment: APIEnvironment
  let model: ModelRecord

  private enum Name {
    static let metrics = "step_metrics.csv"
    static let card = "README.md"
    static let gguf = "adapter.gguf"
  }

  /// Names that `file` knows.
  static let names = [AdapterFolder.weightsFile, AdapterFolder.configFile, Name.gguf]

  /// Bytes of memory that making a file takes: of bytes, numbers, and bytes again.
  func memoryBytes() async throws -> Int {
    guard let adapter = model.adapter else { return 0 }
    return 4 * (try await environment.blobs.size(of: adapter) ?? 0)
  }

  /// One file; nil for a name that is not known.
  ///
  /// - Throws: `FormatError.unsupported` where the format cannot hold the adapter; what blobs
  ///   throw.
  func file(_ name: String) async throws -> Data? {
    guard Self.names.contains(name), let digest = model.adapter else { return nil }
    let adapter = try Adapter(AdapterPayload(decoding: try await environment.blobs.read(digest)))
    let manifest = try ModelManifest(
      json: try await environment.blobs.read(model.manifest), name: model.manifest.hex)
    switch name {
    case AdapterFolder.weightsFile:
      return try AdapterFolder.weights(of: adapter, manifest.description)
    case AdapterFolder.configFile:
      return try AdapterFolder.config(
        of: adapter, manifest.description, baseModel: model.basePublicName)
    default:
      return try GGUFAdapter.data(adapter, of: manifest.description, name: model.id)
    }
  }

  /// A job's result files: the table of metrics first, as clients expect it, then what PEFT loads,
  /// and the card.
  func files(_ report: FineTuningReport) async throws -> [NewFile] {
    let owner = report.job.job.keyID
    func stored(_ name: String, _ data: Data) async throws -> NewFile {
      NewFile(
        keyID: owner, purpose: .fineTuneResults, filename: name, bytes: data.count,
        blob: try await environment.blobs.put(data))
    }
    var files = [try await stored(Name.metrics, Data(report.csv.utf8))]
    for name in [AdapterFolder.weightsFile, AdapterFolder.configFile] {
      do {
        if let data = try await file(name) { files.append(try await stored(name, data)) }
      } catch let error as FormatError where error.code == .unsupported {
        // The model's matrices have other names in transformers; units and GGUF files do without.
        continue
      }
    }
    let hashes = FineTuningFileHashes(entries: files.map { ($0.filename, $0.blob) })
    files.append(try await stored(Name.card, Data(report.card(files: hashes).utf8)))
    return files
  }
}

extension ModelRecord {
  /// What PEFT is to load the adapter over.
  fileprivate var basePublicName: String {
    var base = self
    // A tuned model's own name is not that of its base.
    if id.hasPrefix("ft:") { base.id = String(id.dropFirst(3).prefix { $0 != ":" }) }
    return base.publicName
  }
}
