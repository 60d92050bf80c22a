import BoundedWork
import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Execution
import Foundation
import Logging
import ServiceLifecycle
import WireProtocol

/// The coordinator's own trusted machine: computes units whose replicas disagree, and audits
/// accepted ones when no others wait. Its bits are the truth.
///
/// A model is loaded for the first unit that needs it and let go when nothing is left to replay.
package struct ReplayService: Service {
  let environment: APIEnvironment
  let blobs: FolderBlobStore
  let threads: Int
  let pollSeconds: Int
  let logger: Logger

  package init(
    environment: APIEnvironment, blobs: FolderBlobStore, threads: Int, pollSeconds: Int,
    logger: Logger
  ) {
    self.environment = environment
    self.blobs = blobs
    self.threads = threads
    self.pollSeconds = pollSeconds
    self.logger = logger
  }

  package func run() async throws {
    let machine = ReplayMachine(blobs: blobs, threads: threads)
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do {
          while let job = try await environment.store.takeReplay(now: environment.now()) {
            await replay(job, on: machine)
            if Task.isCancelled { return }
          }
        } catch is CancellationError {
          return
        } catch {
          logger.error("replays cannot be listed", metadata: ["error": "\(error)"])
        }
        machine.release()
        await environment.wakeups.replay.wait(atMost: .seconds(pollSeconds))
      }
    }
  }

  private func replay(_ job: ReplayJob, on machine: ReplayMachine) async {
    let metadata: Logger.Metadata = ["unit": "\(job.unit)", "reason": "\(job.reason)"]
    logger.notice("replay begins", metadata: metadata)
    do {
      let (specification, blobs) = (job.specification, blobs)
      let (unit, check) = try await environment.heavy.run {
        let inputs = try await UnitInputs(specification, blobs: blobs)
        return (
          try await work(specification),
          try await ResultCheck(inputs, of: specification, blobs: blobs)
        )
      }
      let data = try await machine.run(unit, isUrgent: !job.isAudit)
      let digest = try await blobs.put(data)
      let result = try await environment.heavy.run {
        try check.result(checking: data, digest: digest, vocabularySize: nil)
      }
      let outcome = try await environment.store.settleReplay(
        job.id, result: result, now: environment.now())
      let counts: Logger.Metadata = [
        "agreed": "\(outcome?.agreed ?? 0)", "rejected": "\(outcome?.rejected ?? 0)",
      ]
      if case .failed(let delivered) = outcome?.audit {
        logger.warning(
          "an audit found an accepted result wrong",
          metadata: metadata.merging(counts) { $1 }
            .merging(["delivered": "\(delivered)"]) { $1 })
      } else {
        logger.notice("replay settled", metadata: metadata.merging(counts) { $1 })
      }
      wake()
    } catch ExecutionError.cancelled {
      // The job is given out again when its time is over, or at the next start.
    } catch is CancellationError {
    } catch {
      logger.error(
        "replay failed", metadata: metadata.merging(["error": "\(error)"]) { $1 })
      try? await environment.store.failReplay(
        job.id, detail: "\(error)", now: environment.now())
      wake()
    }
  }

  private func wake() {
    environment.wakeups.finalisation.signal()
    environment.wakeups.fineTuning.signal()
  }

  private func work(_ specification: UnitSpecification) async throws -> ReplayMachine.Work {
    var (vocabulary, adapter): (Data?, Data?)
    if let digest = specification.vocabulary { vocabulary = try await blobs.read(digest) }
    if let digest = specification.adapter { adapter = try await blobs.read(digest) }
    return ReplayMachine.Work(
      specification: specification, manifest: try await blobs.read(specification.model),
      inputs: try await blobs.read(specification.inputs), vocabulary: vocabulary,
      adapter: adapter)
  }
}
