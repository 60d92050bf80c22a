import CoordinatorAPI
import Foundation
import ModelFormats

/// What the hub says of one revision of a repository
/// (`GET /api/models/OWNER/NAME/revision/REVISION?blobs=true`).
struct HubListing: Decodable, Sendable {
  struct File: Decodable, Hashable, Sendable {
    /// A large file's content.
    struct Large: Decodable, Hashable, Sendable {
      let sha256: String
      let size: Int
    }

    /// Its path in the repository.
    let rfilename: String
    let size: Int?
    /// Git's name of a small file's content.
    let blobId: String?
    let lfs: Large?

    var byteCount: Int? { lfs?.size ?? size }
  }

  /// The revision's commit.
  let sha: String
  let siblings: [File]

  /// The files that a model is loaded from, and what says whose it is, by path.
  ///
  /// - Throws: `CommandError` when there is no model of a kind that can be loaded.
  func files(for reference: HubReference) throws -> [File] {
    if let wanted = reference.file {
      let files = try Self.parts(of: wanted).map { name in
        guard let file = siblings.first(where: { $0.rfilename == name }) else {
          throw CommandError("\(reference.repository) has no file \(name)\(offer(".gguf"))")
        }
        return file
      }
      return files + siblings.filter { ModelFileNames.isNotice($0.rfilename) }
    }
    let weights = siblings.filter { file in
      file.rfilename.hasPrefix("model") && file.rfilename.hasSuffix(".safetensors")
        && !file.rfilename.contains("/")
    }
    guard !weights.isEmpty, siblings.contains(where: { $0.rfilename == "config.json" }) else {
      throw CommandError(
        "\(reference.repository) has no config.json with model*.safetensors\(offer(".gguf"))")
    }
    let hasJSON = siblings.contains { $0.rfilename == "tokenizer.json" }
    return siblings.filter { file in
      let name = file.rfilename
      return weights.contains(file) || ModelFileNames.settings.contains(name)
        || ModelFileNames.isNotice(name)
        || (name == "tokenizer.model" && !hasJSON)
    }
  }

  /// The file, or, where it is the first of several parts, all of them.
  private static func parts(of path: String) -> [String] {
    let folder = path.split(separator: "/").dropLast().map { $0 + "/" }.joined()
    return GGUFParts.names(from: String(path.dropFirst(folder.count)))?.map { folder + $0 } ?? [
      path
    ]
  }

  /// Files that might have been meant.
  private func offer(_ suffix: String) -> String {
    let names = siblings.map(\.rfilename).filter { $0.lowercased().hasSuffix(suffix) }
    guard !names.isEmpty else { return "" }
    return "; it has \(names.prefix(8).joined(separator: ", "))" + (names.count > 8 ? ", ..." : "")
  }
}
