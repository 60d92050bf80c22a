import Foundation
import Logging
import WireProtocol
import WorkerCore

extension WorkerLoop {
  /// What an operator reads: constant messages, the rest as metadata.
  func log(_ event: WorkerEvent) {
    let logger = equipment.logger
    switch event {
    case .started(let certificate, let results, let units):
      logger.info(
        "worker started",
        metadata: [
          "worker": "\(membership?.record.workerID ?? "not joined")",
          "coordinator":
            "\(membership?.record.url ?? equipment.configuration.invitation?.url ?? "")",
          "waitingResults": "\(results.count)", "heldUnits": "\(units.count)",
          "member": "\(certificate != nil)", "proxy": "\(proxy)",
        ])
    case .terminate: logger.info("asked to end")
    case .finish: logger.info("asked to finish")
    case .computingAllowed, .transferAllowed, .chosen, .calendarRead, .addressAnnounced: break
    case .memoryExceeded(let used, let limit):
      logger.warning(
        "more memory in use than the limit: the running unit is given back",
        metadata: ["usedBytes": "\(used)", "limitBytes": "\(limit)"])
    case .enrolled: logger.info("joined", metadata: identity)
    case .renewed: logger.info("certificate renewed", metadata: identity)
    case .enrolmentFailed(let failure): warn("joining failed", failure)
    case .renewalFailed(let failure): warn("renewal failed", failure)
    case .moved:
      logger.notice("moved", metadata: ["coordinator": "\(membership?.record.url ?? "")"])
    case .movingFailed(let failure):
      logger.info("the announced address is not taken up yet", metadata: ["failure": "\(failure)"])
    case .leaseFailed(let failure): warn("lease request failed", failure)
    case .heartbeatFailed(let lease, let failure): warn("heartbeat failed", failure, lease)
    case .uploadFailed(let lease, let failure): warn("upload failed", failure, lease)
    case .fetchFailed(let lease, .request(let failure)): warn("fetch failed", failure, lease)
    case .fetchFailed(let lease, .permanent(let reason, let detail)),
      .unitFailed(let lease, let reason, let detail):
      logger.warning(
        "unit failed",
        metadata: [
          "lease": "\(lease)", "reason": "\(reason.rawValue)", "detail": "\(detail)",
        ])
    case .leaseAnswered(let response):
      logger.debug(
        "lease answered",
        metadata: [
          "units": "\(response.leases.count)",
          "reasons": "\(response.reasons.map { "\($0.key.rawValue): \($0.value)" }.sorted())",
        ])
      note(ForeignText.line(response.message))
    case .unitFinished(let lease): logger.info("unit finished", metadata: ["lease": "\(lease)"])
    case .unitCancelled(let lease): logger.info("unit stopped", metadata: ["lease": "\(lease)"])
    case .heartbeatAnswered(let lease, let response) where response.verdict == .abandon:
      logger.info(
        "unit not wanted any more",
        metadata: ["lease": "\(lease)", "reason": "\(response.reason ?? "")"])
    case .timer, .blobsReady, .heartbeatAnswered, .uploadAnswered, .abandonmentEnded: break
    }
  }

  /// Keeps what the operator says, and logs it when it is new.
  private func note(_ message: String?) {
    guard message != operatorMessage else { return }
    operatorMessage = message
    if let message {
      equipment.logger.notice("message of the operator", metadata: ["message": "\(message)"])
    }
  }

  /// The proxy between, without secrets.
  private var proxy: String {
    let url = membership?.record.url ?? equipment.configuration.invitation?.url ?? ""
    let settings = try? ProxySettings(
      for: url, environment: ProcessInfo.processInfo.environment)
    return settings?.spelled ?? "none"
  }

  private var identity: Logger.Metadata {
    [
      "worker": "\(membership?.record.workerID ?? "")",
      "account": "\(membership?.record.accountName ?? "")",
    ]
  }

  private func warn(_ message: Logger.Message, _ failure: RequestFailure, _ lease: String? = nil) {
    var metadata: Logger.Metadata = ["failure": "\(failure)"]
    if let lease { metadata["lease"] = "\(lease)" }
    equipment.logger.warning(message, metadata: metadata)
  }
}
