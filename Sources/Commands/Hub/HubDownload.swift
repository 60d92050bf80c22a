import Foundation

/// A model of the hub on this machine.
struct HubDownload {
  /// The folder, or the GGUF file, that the model is loaded from.
  let path: String
  /// With everything that was downloaded.
  let folder: String
  /// With the commit instead of a branch.
  let reference: HubReference

  /// Downloads what is missing of a model, whose revision is pinned first, with a bar of progress.
  ///
  /// - Throws: `CommandError`.
  static func fetch(
    _ reference: HubReference,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) async throws -> HubDownload {
    try await HubClient.with(environment) { client in
      let (pinned, files) = try await resolve(reference, client)
      let folder = folder(pinned, environment)
      try checkSpace(files, folder)
      let total = files.reduce(0) { $0 + ($1.byteCount ?? 0) }
      var bar = ProgressBar()
      var before = 0
      for file in files {
        try await client.download(file, of: pinned, to: folder) { bytes in
          bar.show(
            fraction: total > 0 ? Double(before + bytes) / Double(total) : 0,
            detail: "\(Spelled.bytes(before + bytes)) of \(Spelled.bytes(total)), \(file.rfilename)"
          )
        }
        before += file.byteCount ?? 0
      }
      bar.clear()
      let path = pinned.file.map { folder.appendingPathComponent($0).path } ?? folder.path
      return HubDownload(path: path, folder: folder.path, reference: pinned)
    }
  }

  /// What would be downloaded.
  static func plan(
    _ reference: HubReference,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) async throws -> (reference: HubReference, files: [HubListing.File]) {
    try await HubClient.with(environment) { try await resolve(reference, $0) }
  }

  private static func resolve(
    _ reference: HubReference, _ client: HubClient
  ) async throws -> (HubReference, [HubListing.File]) {
    let listing = try await client.listing(of: reference)
    var pinned = reference
    pinned.revision = listing.sha
    return (pinned, try listing.files(for: reference))
  }

  /// Where a download is kept.
  private static func folder(_ pinned: HubReference, _ environment: [String: String]) -> URL {
    CacheFolder.url("hub", variable: "TALLY_HUB_CACHE", environment: environment)
      .appendingPathComponent("\(pinned.owner)--\(pinned.name)")
      .appendingPathComponent(pinned.revision)
  }

  private static func checkSpace(_ files: [HubListing.File], _ folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let missing = files.reduce(0) { total, file in
      let path = folder.appendingPathComponent(file.rfilename).path
      let have = [path, path + ".part"].compactMap { path in
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.intValue
      }.max() ?? 0
      return total + max(0, (file.byteCount ?? 0) - have)
    }
    let free =
      try? FileManager.default.attributesOfFileSystem(forPath: folder.path)[.systemFreeSize]
      as? NSNumber
    if let free = free?.intValue, free < missing {
      throw CommandError(
        "\(Spelled.bytes(missing)) are to be downloaded to \(folder.path), where "
          + "\(Spelled.bytes(free)) are free (TALLY_HUB_CACHE names another folder)")
    }
  }
}
