import APIObjects
import Foundation
import Models

/// Fetches a tuned model's adapter.
struct AdapterDownload {
  let client: APIClient

  /// Writes PEFT's two files, and the card where the job gave one.
  ///
  /// - Parameter folder: exists.
  func peft(_ model: String, resultFiles: [String] = [], to folder: URL) async throws {
    for name in [AdapterFolder.weightsFile, AdapterFolder.configFile] {
      try await write(Self.path(model, name), to: folder.appendingPathComponent(name))
    }
    for id in resultFiles {
      let file = try await client.get("/v1/files/\(id)", as: FileObject.self)
      let isOurs = [AdapterFolder.weightsFile, AdapterFolder.configFile].contains(file.filename)
      let isName = !file.filename.contains("/") && !file.filename.hasPrefix(".")
      guard !isOurs, isName else { continue }
      try await write(
        "/v1/files/\(id)/content", to: folder.appendingPathComponent(file.filename))
    }
  }

  /// Writes llama.cpp's one file.
  func gguf(_ model: String, to file: URL) async throws {
    try await write(Self.path(model, "adapter.gguf"), to: file)
  }

  private static func path(_ model: String, _ file: String) -> String {
    let name = model.addingPercentEncoding(withAllowedCharacters: .urlHostAllowed) ?? model
    return "/tally/v1/adapters/\(name)/\(file)"
  }

  private func write(_ path: String, to file: URL) async throws {
    let partial = file.appendingPathExtension("partial")
    guard FileManager.default.createFile(atPath: partial.path, contents: nil),
      let handle = FileHandle(forWritingAtPath: partial.path)
    else { throw CommandError("cannot write \(partial.path)") }
    do {
      _ = try await client.download(path, to: handle)
      try handle.close()
    } catch {
      try? FileManager.default.removeItem(at: partial)
      throw error
    }
    guard rename(partial.path, file.path) == 0 else {
      throw CommandError("cannot write \(file.path): \(String(cString: strerror(errno)))")
    }
  }
}
