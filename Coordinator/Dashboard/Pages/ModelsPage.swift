import CoordinatorCore
import CoordinatorStore

/// The models that jobs may name.
struct ModelsPage: PageContent {
  static let template = "models"
  let title = "Models"
  let models: [Model]
  let isEmpty: Bool

  /// A line of the table.
  struct Model {
    let id: String
    let licence: String
    let baseModels: String?
    let source: String
    let owner: String
    let context: String
    let weights: String
    let download: String
    let cost: String
    let manifest: String
    let shortManifest: String
  }

  init(_ records: [ModelRecord]) {
    models = records.sorted { $0.id < $1.id }.map(Model.init)
    isEmpty = models.isEmpty
  }
}

extension ModelsPage.Model {
  fileprivate init(_ record: ModelRecord) {
    id = record.id
    licence = record.licence ?? "not stated"
    baseModels = record.baseModels.flatMap { $0.isEmpty ? nil : $0.joined(separator: ", ") }
    source = record.source
    owner = record.ownedBy
    context = Spelling.count(record.contextLength, "token")
    weights = Spelling.bytes(record.cost.weightBytes)
    download = Spelling.bytes(record.cost.diskBytes)
    let token = record.cost.bodyFlopsPerToken + record.cost.headFlopsPerToken
    cost = Spelling.flops(token)
    manifest = record.manifest.hex
    shortManifest = String(record.manifest.hex.prefix(12))
  }
}

extension DashboardRoutes {
  /// `GET /models`.
  func models() async throws -> ModelsPage { ModelsPage(try await environment.store.models()) }
}
