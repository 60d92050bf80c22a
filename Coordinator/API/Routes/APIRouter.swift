import Hummingbird

/// All routes of the coordinator.
package enum APIRouter {
  /// - Parameter identify: who sent a request to a worker route; nil takes the certificate of the
  ///   TLS connection.
  package static func make(
    _ environment: APIEnvironment, identify: WorkerAuthentication.Identify? = nil
  ) -> Router<CoordinatorRequestContext> {
    let router = Router(context: CoordinatorRequestContext.self)
    router.add(middleware: MetricsMiddleware(metrics: environment.metrics))
    router.add(middleware: ErrorMiddleware())
    let authenticated = KeyAuthentication(store: environment.store)
    let worker =
      if let identify {
        WorkerAuthentication(store: environment.store, now: environment.now, identify: identify)
      } else {
        WorkerAuthentication(store: environment.store, now: environment.now)
      }
    FileRoutes(environment: environment, authenticated: authenticated).add(to: router)
    BatchRoutes(environment: environment, authenticated: authenticated).add(to: router)
    FineTuningRoutes(environment: environment, authenticated: authenticated).add(to: router)
    PublicRoutes(environment: environment, authenticated: authenticated).add(to: router)
    StatisticsRoutes(environment: environment).add(to: router)
    EnrolmentRoutes(environment: environment, worker: worker).add(to: router)
    AccountRoutes(environment: environment, worker: worker).add(to: router)
    WorkRoutes(environment: environment, worker: worker).add(to: router)
    return router
  }
}
