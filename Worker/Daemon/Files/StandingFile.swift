import WireProtocol

/// How the worker and its account stood when the coordinator was last asked.
package struct StandingNote: Codable, Hashable, Sendable {
  package var standing: Standing
  /// In seconds since 1970.
  package var takenAt: Int
}

/// Remembers the latest note over restarts, for times when the coordinator is away.
struct StandingFile: Sendable {
  let path: String

  init(in folder: WorkerFolder) { path = folder.path + "/standing.json" }

  /// Nil where there is none that can be understood: the next answer replaces it.
  func load() -> StandingNote? {
    guard let data = try? DurableFile.read(path, limitBytes: 1 << 12) else { return nil }
    return try? CanonicalJSON.decode(StandingNote.self, from: data)
  }

  func save(_ note: StandingNote) throws {
    try DurableFile.write([CanonicalJSON.encode(note)], to: path)
  }
}
