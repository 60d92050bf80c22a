import APIObjects
import CoordinatorCore
import CoordinatorStore

extension FileObject {
  package init(_ record: FileRecord) {
    self.init(
      id: record.id, bytes: record.bytes, createdAt: record.createdAt.seconds,
      expiresAt: record.expiresAt?.seconds, filename: record.filename,
      purpose: record.purpose.rawValue, statusDetails: nil)
  }
}

extension ModelObject {
  package init(_ record: ModelRecord) {
    self.init(
      id: record.id, created: record.createdAt.seconds, ownedBy: record.ownedBy,
      tally: ModelOriginBody(
        manifest: record.manifest.hex, source: record.source, licence: record.licence,
        baseModels: record.baseModels ?? [], adapter: record.adapter?.hex,
        fineTuningJob: record.fineTuningJob))
  }
}
