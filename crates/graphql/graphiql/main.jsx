// The page: GraphiQL, with queries over HTTP and subscriptions over graphql-transport-ws.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import 'graphiql/graphiql.css';
import { createClient } from 'graphql-ws';
import { createRoot } from 'react-dom/client';

const url = new URL(document.documentElement.dataset.endpoint, location.href);
const socket = new URL(url);
socket.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
const fetcher = createGraphiQLFetcher({ url: url.href, wsClient: createClient({ url: socket.href }) });
createRoot(document.body).render(<GraphiQL fetcher={fetcher} />);
