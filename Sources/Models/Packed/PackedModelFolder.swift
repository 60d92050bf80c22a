import Foundation
import Kernels
import ModelFormats

/// Packed files of models that lie on this machine as GGUF files or Hugging Face folders: one for
/// each model and way to hold it.
///
/// Files are known by path, size, inode and the times of their last change; the time of a change of
/// the inode cannot be set back, so that a file which was written to is noticed even where its size
/// and its date were kept.
package struct PackedModelFolder: Sendable {
  /// What the folder holds beside the newest file, in bytes, unless the caller says otherwise.
  package static let defaultLimitBytes = 20 << 30
  private static let suffix = ".packed"

  private let path: String
  private let limitBytes: Int

  /// - Parameters:
  ///   - path: is made when it is first needed.
  ///   - limitBytes: the least recently used files beyond it go, the newest never.
  package init(path: String, limitBytes: Int = Self.defaultLimitBytes) {
    self.path = path
    self.limitBytes = limitBytes
  }

  /// Loads the model at `path` from its packed file, which is written first where it is missing.
  ///
  /// - Throws: as `Model(path:)`.
  package func load(path modelPath: String, options: Model.LoadOptions = .init()) throws -> Model {
    let files = try ModelFiles(path: modelPath)
    guard let place = place(of: files, at: modelPath, options) else {
      return try Model(files.description, from: files.source, options: options)
    }
    let isNew = access(place.path, F_OK) != 0
    let model = try Model(
      files.description, packedAt: place, from: files.source, options: options)
    if self.place(of: files, at: modelPath, options) != place {
      // The model changed while it was read: what was packed may be of either.
      unlink(place.path)
    }
    // The order of use.
    utimes(place.path, nil)
    if isNew { trim(keeping: place.path) }
    return model
  }

  /// Where the packed file belongs; nil where there can be none.
  private func place(
    of files: ModelFiles, at modelPath: String, _ options: Model.LoadOptions
  ) -> PackedModelPlace? {
    guard let identity = try? Self.identity(of: modelPath),
      let description = try? files.description.canonicalJSON(),
      (try? FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])) != nil
    else { return nil }
    let key = PackedModelKey(
      content: identity + "\n" + String(decoding: description, as: UTF8.self), options: options)
    return PackedModelPlace(
      path: "\(path)/\(prefix(modelPath, options))\(key.hex)\(Self.suffix)", key: key,
      isVerified: false)
  }

  /// What the names of all packed files of one model begin with, whatever became of it.
  private func prefix(_ modelPath: String, _ options: Model.LoadOptions) -> String {
    let name = PackedModelKey(content: Self.absolute(modelPath), options: options)
    return String(name.hex.prefix(16)) + "-"
  }

  private static func absolute(_ path: String) -> String {
    URL(fileURLWithPath: path).standardizedFileURL.path
  }

  /// A line for each file of a model.
  static func identity(of modelPath: String) throws -> String {
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: modelPath, isDirectory: &isFolder)
    let path = absolute(modelPath)
    let url = URL(fileURLWithPath: path)
    let folder = isFolder.boolValue ? url : url.deletingLastPathComponent()
    let names =
      isFolder.boolValue
      ? try FileManager.default.contentsOfDirectory(atPath: path).sorted().filter {
        $0.hasSuffix(".safetensors") || $0.hasSuffix(".json")
      } : GGUFParts.names(from: url.lastPathComponent) ?? [url.lastPathComponent]
    return try names.map { name in
      let file = folder.appendingPathComponent(name).path
      var status = stat()
      guard stat(file, &status) == 0 else {
        throw FormatError(.unreadable, file: file, reason: "cannot examine")
      }
      let (changed, written) = (status.st_ctim, status.st_mtim)
      return "\(file) \(status.st_size) \(status.st_dev) \(status.st_ino) "
        + "\(written.tv_sec).\(written.tv_nsec) \(changed.tv_sec).\(changed.tv_nsec)"
    }.joined(separator: "\n")
  }

  /// Removes what the same model was packed into before, what nobody finished, and what exceeds the
  /// limit.
  private func trim(keeping kept: String) {
    let keptName = (kept as NSString).lastPathComponent
    let prefix = keptName.prefix { $0 != "-" }
    PackedModelWriter.removeAbandoned(in: path)
    var others: [(path: String, bytes: Int, used: Int)] = []
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    where name.hasSuffix(Self.suffix) && name != keptName {
      let file = "\(path)/\(name)"
      var status = stat()
      if name.hasPrefix(prefix + "-") {
        unlink(file)
      } else if stat(file, &status) == 0 {
        others.append((file, Int(status.st_size), Int(status.st_mtim.tv_sec)))
      }
    }
    var total = others.reduce(0) { $0 + $1.bytes }
    for other in others.sorted(by: { $0.used < $1.used }) where total > limitBytes {
      unlink(other.path)
      total -= other.bytes
    }
  }
}
