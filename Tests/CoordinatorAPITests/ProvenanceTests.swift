import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Models
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// Whose weights a model has stands in its manifest, and clients can read it.
@Suite struct ProvenanceTests {
  private static let card = "---\nlicense: mit\nbase_model: tiny/base\n---\n"

  private func folder() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try TinyModel.write(to: folder.url)
    try Data(Self.card.utf8).write(to: folder.url.appendingPathComponent("README.md"))
    try Data("MIT License, of somebody".utf8).write(
      to: folder.url.appendingPathComponent("LICENSE"))
    try Data("not read".utf8).write(to: folder.url.appendingPathComponent("notes.txt"))
    return folder
  }

  private func manifest(_ coordinator: TestCoordinator, _ record: ModelRecord) async throws
    -> ModelManifest
  {
    try ModelManifest(json: try await coordinator.blobs.read(record.manifest), name: "manifest")
  }

  @Test func theManifestSaysWhatTheModelWasMadeFrom() async throws {
    let (coordinator, folder) = (try await TestCoordinator(), try folder())
    var work = 0
    let record = try await ModelImport(store: coordinator.store, blobs: coordinator.blobs).add(
      path: folder.url.path, name: "m", origin: ModelOrigin(source: "hf:tiny/m@0123"),
      now: coordinator.clock.now
    ) { work += $0 }
    #expect(work == (try ModelImport.workBytes(path: folder.url.path, origin: ModelOrigin())))
    let provenance = try #require(try await manifest(coordinator, record).provenance)
    #expect(provenance.source == "hf:tiny/m@0123" && provenance.licence == "mit")
    #expect(provenance.licenceText == "MIT License, of somebody")
    #expect(provenance.baseModels == ["tiny/base"] && provenance.rounding == nil)
    #expect(record.licence == "mit" && record.baseModels == ["tiny/base"])
    let names = [
      "LICENSE", "README.md", "config.json", "model.safetensors", "tokenizer.json",
      "tokenizer_config.json",
    ]
    #expect(provenance.files.map(\.name) == names)
    for file in provenance.files {
      let bytes = try Data(contentsOf: folder.url.appendingPathComponent(file.name))
      #expect(file.bytes == bytes.count && file.sha256 == BlobDigest.sha256(bytes).hex)
    }
  }

  @Test func theOperatorsWordGoesBeforeTheFiles() async throws {
    let (coordinator, folder) = (try await TestCoordinator(), try folder())
    let text = folder.url.appendingPathComponent("notes.txt").path
    let record = try await ModelImport(store: coordinator.store, blobs: coordinator.blobs).add(
      path: folder.url.path, name: "m",
      origin: ModelOrigin(licence: "Apache-2.0", licenceFile: text),
      rounded: .plain(.q8_0), now: coordinator.clock.now)
    let provenance = try #require(try await manifest(coordinator, record).provenance)
    #expect(provenance.licence == "apache-2.0" && provenance.licenceText == "not read")
    #expect(provenance.rounding == "q8_0")
    await #expect(throws: FormatError.self) {
      try await ModelImport(store: coordinator.store, blobs: coordinator.blobs).add(
        path: folder.url.path, name: "m", origin: ModelOrigin(licenceFile: text + ".missing"),
        now: coordinator.clock.now)
    }
  }

  @Test func clientsReadIt() async throws {
    let (coordinator, folder) = (try await TestCoordinator(), try folder())
    let record = try await ModelImport(store: coordinator.store, blobs: coordinator.blobs)
      .add(path: folder.url.path, name: "m", now: coordinator.clock.now)
    try await coordinator.test { client in
      let model = try await client.send(.get, "/v1/models/m")
      let origin = try #require(model.json["tally"] as? [String: Any])
      #expect(origin["manifest"] as? String == record.manifest.hex)
      #expect(origin["licence"] as? String == "mit")
      #expect(origin["base_models"] as? [String] == ["tiny/base"])
      let shown = try await client.send(.get, "/tally/v1/manifests/\(record.manifest.hex)")
      #expect(shown.status == 200)
      let provenance = try #require(shown.json["provenance"] as? [String: Any])
      #expect(provenance["licence_text"] as? String == "MIT License, of somebody")
      #expect((provenance["files"] as? [[String: Any]])?.count == 6)
      // Neither what nobody has, nor a blob that is no manifest.
      for id in [record.tokenizer.hex, String(repeating: "0", count: 64), "x"] {
        #expect(try await client.send(.get, "/tally/v1/manifests/\(id)").status == 404)
      }
      #expect(
        try await client.send(.get, "/tally/v1/manifests/\(record.manifest.hex)", key: nil).status
          == 401)
    }
  }
}
